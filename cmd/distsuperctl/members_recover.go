package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store/backup"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/embedded/members"
	"github.com/distsuper/distsuper/store/etcd"
)

// startTime is what a new etcd may take to start: distsuperd may just be asking the other members, and wait before it tries again.
const startTime = 90 * time.Second

// answerTime is what the member of this host may take to answer: one that was just started waits for the others first.
const answerTime = 10 * time.Second

func newMemberRecover(c *ctl) *cobra.Command {
	var o acceptOptions
	cmd := &cobra.Command{
		Use: "recover", Short: "go on with this host's member alone, after the majority was lost for good",
		Long: `recover is for an etcd whose majority is lost for good. It runs on the host of a member that is left: it saves what that one has, makes
a new etcd of it on this host, and restores it there, as restore does. The history is lost, and whatever the lost members had acknowledged
without this one. So that nothing runs twice all the same, every daemon refuses the new etcd until it is accepted: what runs is taken
over as it runs, everything else that was fenced has ended by then, and tokens go on above all that any living daemon has seen.

Machines that do not answer are named: start their agents, or say with --off that you have made sure that they are off. The
other members of before must not come back with their data; a distsuperd that meets the new etcd refuses to start it.`,
		Example: "  distsuperctl members recover\n  distsuperctl members recover --off m1,m2", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.settings(cmd); err != nil {
				return err
			}
			return runMemberRecover(cmd, c, o)
		},
	}
	cmd.Flags().StringSliceVar(&o.off, "off", nil, "these machines do not answer, and you have made sure that they are off")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func runMemberRecover(cmd *cobra.Command, c *ctl, o acceptOptions) error {
	ctx, dir := cmd.Context(), c.cfg.Controller.StateDir
	if err := goOn(dir); err != nil {
		return err
	}
	several, err := embedded.Several(dir, nil)
	if err != nil {
		return err
	}
	if !c.cfg.UsesEmbedded() || !several || !embedded.Running(dir) {
		return usage(errors.New("members recover runs on a host with a member of distsuperd's own etcd, while distsuperd runs there (distsuperd start)"))
	}
	sc, socket, err := c.thisMember()
	if err != nil {
		return err
	}
	e := members.NewClient(sc, c.keys)
	defer e.Close()
	own, err := awaitAnswer(ctx, e, socket)
	if err != nil {
		return unreachable("this host's member of etcd does not answer: %w", err)
	}
	list, _, err := e.Any(ctx, false)
	if err != nil { // a learner does not tell
		if list, err = remembered(dir); err != nil {
			return err
		}
	}
	states := e.States(ctx, list)
	lost := members.Lost(list, states.Answers)
	if lost == "" {
		return errors.New("etcd has its majority: distsuperctl members replace takes out single members that are lost")
	}
	b, name, err := c.saveMember(ctx, stale(sc, socket), dir)
	if err != nil {
		return err
	}
	c.printf("%s\nsaved what this host's member has in %s, as of revision %d\n", lost, name, b.Rev)
	if err := c.confirm(o.yes, "Are the others lost for good, and is this host to go on alone?"); err != nil {
		return fmt.Errorf("members recover: %w", err)
	}
	if err := c.foundAnew(ctx, e, dir, socket, own.Cluster); err != nil {
		return err
	}
	if err = c.connect(cmd); err == nil {
		err = runRestore(ctx, c, acceptOptions{off: o.off, yes: true}, b)
	}
	if err != nil {
		return fmt.Errorf("%w; the new etcd is there: to go on, run distsuperctl restore %s", err, name)
	}
	return nil
}

// goOn says how to go on after a recovery that was interrupted when the new etcd had begun; nil where there was none.
func goOn(dir string) error {
	d, err := embedded.DirOf(dir)
	if err != nil {
		return err
	}
	m, err := d.Membership()
	if err != nil || !m.Alone || len(m.Others()) > 0 {
		return err
	}
	saved, err := filepath.Glob(filepath.Join(dir, "etcd", "recover-*.backup"))
	if err != nil || len(saved) == 0 {
		return err
	}
	return fmt.Errorf("this host has gone on with a new etcd already; if that was interrupted, run distsuperctl restore %s", slices.Max(saved))
}

// thisMember is how the member of this host is reached, and by that all others.
func (c *ctl) thisMember() (sc etcd.Config, socket string, err error) {
	reach, err := embedded.ReachOf(c.cfg.Controller.StateDir, nil)
	if err != nil {
		return sc, "", err
	}
	if socket, err = embedded.Endpoint(c.cfg.Controller.StateDir); err != nil {
		return sc, "", err
	}
	sc = c.configuredStore()
	sc.Endpoints, sc.CA, sc.Cert, sc.Key = []string{socket}, reach.CA, reach.Cert, reach.Key
	return sc, socket, nil
}

// awaitAnswer asks a member until it answers.
func awaitAnswer(ctx context.Context, e *members.Client, endpoint string) (members.State, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for {
		s, err := e.Status(ctx, endpoint)
		if err == nil || !clock.Sleep(ctx, 100*time.Millisecond) {
			return s, err
		}
	}
}

// remembered are the members that this host knew last.
func remembered(dir string) ([]embedded.Peer, error) {
	d, err := embedded.DirOf(dir)
	if err != nil {
		return nil, err
	}
	m, err := d.Membership()
	return m.Members, err
}

// saveMember saves what one member has.
func (c *ctl) saveMember(ctx context.Context, sc etcd.Config, dir string) (*backup.Backup, string, error) {
	kv, err := etcd.Open(ctx, sc)
	if err != nil {
		return nil, "", err
	}
	defer kv.Close()
	b, err := backup.Take(ctx, kv, c.keys, c.who, time.Now())
	if err != nil {
		return nil, "", err
	}
	name := filepath.Join(dir, "etcd", "recover-"+time.Now().UTC().Format("20060102-150405.000")+".backup")
	_, err = writeWhole(name, false, b.Write)
	return b, name, err
}

// foundAnew ends this host's member, and waits until distsuperd has started a new etcd in its place.
func (c *ctl) foundAnew(ctx context.Context, e *members.Client, dir, socket, before string) error {
	d, err := embedded.DirOf(dir)
	if err != nil {
		return err
	}
	if err := d.GoAlone(); err != nil {
		return err
	}
	if err := stopEtcd(ctx, c.cfg); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if s, err := e.Status(ctx, socket); err == nil && s.Cluster != before {
			return nil
		}
		if !clock.Sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("the new etcd does not start yet: distsuperd status says why; the old data stays in %s", d)
		}
	}
}
