package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/embedded/members"
	"github.com/distsuper/distsuper/store/etcd"
)

func newMembers(c *ctl) *cobra.Command {
	cmd := &cobra.Command{
		Use: "members", Short: "show the members of distsuperd's own etcd, and which of them vote",
		Long: `members shows the hosts that have distsuperd's own etcd together, also while they have no majority. Of three members, any
one may be lost. Another one joins by the file that init config --join --voter writes. It is a learner until it has a copy of everything,
and until its vote makes an odd number: of two hosts the second is a learner, since an etcd of two votes stops when either is lost.`,
		Example: "  distsuperctl members\n  distsuperctl init config --join --voter 10.0.0.2 --out d2.ini", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := c.ownEtcd(cmd)
			if err != nil {
				return err
			}
			defer e.Close()
			return runMembers(cmd.Context(), c, e)
		},
	}
	cmd.AddCommand(newMemberReplace(c), newMemberRemove(c), newMemberRecover(c))
	return cmd
}

// ownEtcd is distsuperd's own etcd, member by member, whether it has a majority or not.
func (c *ctl) ownEtcd(cmd *cobra.Command) (*members.Client, error) {
	if err := c.settings(cmd); err != nil {
		return nil, err
	}
	c.deployment = c.choose()
	sc, err := c.deployment.storeConfig()
	if err != nil {
		return nil, err
	}
	if !sc.Follow {
		return nil, usage(errors.New("members is for distsuperd's own etcd, and [etcd] endpoints name another one; see etcdctl member list"))
	}
	if c.cfg.UsesEmbedded() && embedded.Running(c.cfg.Controller.StateDir) {
		here, err := embedded.Endpoint(c.cfg.Controller.StateDir)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(sc.Endpoints, here) { // it answers when it waits for the others, too
			sc.Endpoints = append([]string{here}, sc.Endpoints...)
		}
	}
	return members.NewClient(sc, c.keys), nil
}

// memberRow is the JSON of a member.
type memberRow struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Role     string `json:"role"` // leader, voter or learner
	Answers  bool   `json:"answers"`
	Endpoint string `json:"endpoint"`
	Peer     string `json:"peer"`
	Version  string `json:"version"`
	Size     int64  `json:"bytes"`
	// Alarms are what it raises: NOSPACE when its quota is used up.
	Alarms []string `json:"alarms,omitempty"`
}

func runMembers(ctx context.Context, c *ctl, e *members.Client) error {
	list, _, err := e.Any(ctx, false)
	if err != nil {
		return unreachable("no member of etcd answers: %w", err)
	}
	states := e.States(ctx, list)
	rows, cells, full := []memberRow{}, [][]string{}, false
	for _, p := range list {
		r, state := memberRowOf(p, states)
		full = full || slices.Contains(r.Alarms, store.AlarmNoSpace)
		rows = append(rows, r)
		cells = append(cells, []string{orDash(r.Name), r.Role, state, orDash(r.Endpoint), orDash(r.Version), r.ID})
	}
	if c.json {
		return printJSON(c.out, rows)
	}
	if err := table(c.out, []string{"MEMBER", "ROLE", "STATE", "ENDPOINT", "VERSION", "ID"}, cells); err != nil {
		return err
	}
	if full {
		c.warnf("distsuperctl: %s", store.Full)
	}
	if lost := members.Lost(list, states.Answers); lost != "" {
		c.warnf("distsuperctl: %s", lost)
	} else if _, voters := members.Majority(list); voters < 3 {
		c.warnf("distsuperctl: etcd does not survive the loss of a host before it has three votes, and it has %d; "+
			"another one joins by the file of distsuperctl init config --join --voter ADDRESS", voters)
	}
	return nil
}

// memberRowOf is the row of a member, and its state for people. What it raises is known by any that answers.
func memberRowOf(p embedded.Peer, states members.States) (r memberRow, state string) {
	s, answers := states[p.ID]
	r = memberRow{ID: p.ID, Name: p.Name, Role: "voter", Answers: answers, Endpoint: p.Endpoint, Peer: p.Peer, Version: s.Version, Size: s.Size}
	switch {
	case p.Learner:
		r.Role = "learner"
	case answers && s.Leader == p.ID:
		r.Role = "leader"
	}
	for _, other := range states {
		if len(other.Alarms[p.ID]) > len(r.Alarms) {
			r.Alarms = other.Alarms[p.ID]
		}
	}
	state = "answers"
	if !answers {
		state = "does not answer"
	}
	return r, with(state, strings.Join(r.Alarms, ", "))
}

func newMemberReplace(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use: "replace MEMBER", Short: "let a host whose member is lost or refused join again as a new one",
		Long: `replace removes a member that does not answer, and lets its host join again as a new one. It is for a host whose data was lost,
or restored from an old copy, and which therefore does not start: with an etcd that has forgotten what it acknowledged, touches and
placements could be lost, and processes run twice. Its distsuperd joins by itself then, within seconds. It is for a host that is
lost, too: another one takes its place by the file of init config --join --voter. MEMBER is a name or an id, as members shows them.`,
		Example: "  distsuperctl members replace d2", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := c.ownEtcd(cmd)
			if err != nil {
				return err
			}
			defer e.Close()
			return runMemberReplace(cmd.Context(), c, e, args[0])
		},
	}
}

// isID matches etcd's ids.
var isID = regexp.MustCompile(`^[0-9a-f]{8,16}$`)

func runMemberReplace(ctx context.Context, c *ctl, e *members.Client, which string) error {
	list, _, err := e.Any(ctx, true)
	if err != nil {
		return c.noMajority(ctx, e, err)
	}
	p, found, err := named(list, which)
	switch {
	case err != nil:
		return err
	case !found && !isID.MatchString(which):
		return noSuchMember(list, which)
	case !found: // of another life of this etcd, or removed before
		p.ID = which
	default:
		if e.States(ctx, []embedded.Peer{p}).Answers(p) {
			return fmt.Errorf("%s answers, so its data is there; distsuperctl members remove takes out a member that is meant to leave", members.Named(p))
		}
	}
	if err := e.Allow(ctx, p.ID); err != nil {
		return err
	}
	if found {
		if err := e.Remove(ctx, p.ID); err != nil {
			return fmt.Errorf("remove %s: %w", members.Named(p), err)
		}
	}
	if c.json {
		return printJSON(c.out, map[string]any{"member": p.ID, "name": p.Name, "result": "replaced"})
	}
	what := "removed"
	if !found {
		what = "no member any more"
	}
	c.printf("%s: %s; its host joins again as a new member, by itself if distsuperd runs there with its state directory; "+
		"for another host in its place, or one that lost all of that, run distsuperctl init config --join --voter ADDRESS\n", members.Named(p), what)
	return nil
}

func newMemberRemove(c *ctl) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove MEMBER", Short: "take a member out for good",
		Long: `remove takes a member out of distsuperd's own etcd, whether it answers or not. Its etcd ends, and does not start again. MEMBER is a
name or an id, as members shows them.`,
		Example: "  distsuperctl members remove d3", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := c.ownEtcd(cmd)
			if err != nil {
				return err
			}
			defer e.Close()
			return runMemberRemove(cmd.Context(), c, e, args[0], yes)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func runMemberRemove(ctx context.Context, c *ctl, e *members.Client, which string, yes bool) error {
	list, _, err := e.Any(ctx, true)
	if err != nil {
		return c.noMajority(ctx, e, err)
	}
	p, found, err := named(list, which)
	switch {
	case err != nil:
		return err
	case !found:
		return noSuchMember(list, which)
	}
	states := e.States(ctx, list)
	if why := members.MayRemove(list, states.Answers, p.ID); why != "" {
		return fmt.Errorf("%s cannot be removed: %s", members.Named(p), why)
	}
	if !p.Learner {
		_, voters := members.Majority(list)
		question := fmt.Sprintf("Remove %s? %s left.", members.Named(p), plural(voters-1, "vote"))
		if voters-1 < 3 {
			question = fmt.Sprintf("Remove %s? With %s left, etcd stops when one more is lost.", members.Named(p), plural(voters-1, "vote"))
		}
		if err := c.confirm(yes, question); err != nil {
			return fmt.Errorf("members remove: %w", err)
		}
	}
	if err := e.Remove(ctx, p.ID); err != nil {
		return fmt.Errorf("remove %s: %w", members.Named(p), err)
	}
	if c.json {
		return printJSON(c.out, map[string]any{"member": p.ID, "name": p.Name, "result": "removed"})
	}
	c.printf("%s: removed\n", members.Named(p))
	return nil
}

// named finds a member by its id or name. Two have one name when a host with another address has taken the place of one that is still a member.
func named(list []embedded.Peer, which string) (p embedded.Peer, found bool, err error) {
	var ids []string
	for _, m := range list {
		if m.ID == which {
			return m, true, nil
		}
		if m.Name == which {
			p, ids = m, append(ids, m.ID+" at "+orDash(m.Endpoint))
		}
	}
	if len(ids) > 1 {
		return p, false, usage(fmt.Errorf("%d members of etcd are named %s: name one by its id, of %s", len(ids), which, strings.Join(ids, ", ")))
	}
	return p, len(ids) == 1, nil
}

func noSuchMember(list []embedded.Peer, which string) error {
	return usage(fmt.Errorf("no member of etcd is named %s; there are %s", which, namesOf(list)))
}

// noMajority explains why the members cannot be changed.
func (c *ctl) noMajority(ctx context.Context, e *members.Client, why error) error {
	lost, err := e.Lost(ctx)
	switch {
	case err != nil:
		return unreachable("no member of etcd answers: %w", err)
	case lost != "":
		return unreachable("%s", lost)
	}
	return unreachable("the members of etcd cannot be asked: %w", why)
}

// stale reads what one member has, without asking the others.
func stale(sc etcd.Config, endpoint string) etcd.Config {
	sc.Endpoints, sc.Follow, sc.Stale = []string{endpoint}, false, true
	return sc
}
