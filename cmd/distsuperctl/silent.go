package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
)

// hurry is how long etcd has to answer a command that can ask a machine instead.
const hurry = time.Second

// openOrAsk is open for a command that names a machine: while etcd is silent, or full and so not told of anything, that machine
// itself is asked, and c.away says what happened to etcd.
func (c *ctl) openOrAsk(cmd *cobra.Command, machine string) error {
	if machine == "" {
		return c.open(cmd)
	}
	whole := cmd.Context()
	ctx, cancel := context.WithTimeout(whole, hurry)
	defer cancel()
	cmd.SetContext(ctx)
	err := c.open(cmd)
	cmd.SetContext(whole)
	if err == nil && c.etcdIsFull(whole) {
		c.away = store.ErrNoSpace
	}
	if errors.Is(err, store.ErrUnavailable) && whole.Err() == nil && !c.deployment.oneMachine() {
		c.away, err = err, nil
	}
	return err
}

// etcdIsFull reports whether a member raises the alarm NOSPACE.
func (c *ctl) etcdIsFull(ctx context.Context) bool {
	return slices.ContainsFunc(c.members(ctx), func(m store.Member) bool { return slices.Contains(m.Alarms, store.AlarmNoSpace) })
}

// etcdIsSilent reports whether etcd gives no answer at all.
func (c *ctl) etcdIsSilent() bool { return errors.Is(c.away, store.ErrUnavailable) }

// rememberedWays are the ways to a machine while etcd is silent: to an agent on this host by its state directory, to any other by the
// address book.
func (c *ctl) rememberedWays(ctx context.Context, machine string) (ways, error) {
	book, err := readBook(c.bookPath())
	if w, ok := c.ownAgent(ctx, machine, book); ok {
		return w, nil
	}
	info, known := book.Machines[machine]
	switch {
	case err != nil || len(book.Machines) == 0:
		return ways{}, unreachable("etcd is silent, and it is not known how %s is reached: that is noted (machines_file) when etcd answers a command "+
			"of this user on this host; on %s itself, run distsuperagent status -l", machine, machine)
	case !known:
		return ways{}, unreachable("etcd is silent, and the machines noted at %s do not include %s; known are %s",
			book.At.Local().Format("15:04:05"), machine, strings.Join(book.names(), ", "))
	}
	w := ways{info: info, limit: reachLimit - hurry, controllers: func(context.Context) ([]api.Controller, error) { return book.Controllers, nil }}
	w.cert, err = c.rememberedCert(book)
	return w, err
}

// rememberedCert is a certificate that agents accept: an administrator's, or that of a controller on this host.
func (c *ctl) rememberedCert(book addressBook) (tls.Certificate, error) {
	if book.SigningKey != "" {
		return mtls.MintClient([]byte(book.SigningKey), c.who)
	}
	if id, err := mtls.ReadIdentity(filepath.Join(c.cfg.Controller.StateDir, "distsuperd.pem")); err == nil {
		return id.Cert, nil
	}
	return tls.Certificate{}, unreachable("etcd is silent, and you may not call agents directly: only administrators may, who can read the fleet's signing key")
}

// unreachable is an error of a command for which etcd is missing.
func unreachable(format string, args ...any) error {
	return &exitError{code: exitUnreachable, err: fmt.Errorf(format, args...)}
}

// agentSays is what an agent says of its machine while etcd is silent.
type agentSays struct {
	health rpc.Health
	runs   []rpc.Run
	full   bool // etcd is, and answers
}

// askMachine asks the agent of a machine how everything is there.
func (c *ctl) askMachine(ctx context.Context, machine string) (a agentSays, err error) {
	err = c.atMachine(ctx, machine, machine+" cannot be asked", func(agent *rpc.Client) (err error) {
		a.full = !c.etcdIsSilent()
		if a.health, err = agent.Health(ctx); err == nil {
			a.runs, err = agent.Processes(ctx)
		}
		return err
	})
	return a, err
}

// mark says whose knowledge it is, and how old.
func (a agentSays) mark() string {
	if a.full {
		return "reported by the agent, since etcd is full (NOSPACE) and takes no reports"
	}
	if a.health.Contact == nil {
		return "reported by the agent; etcd " + a.health.Store
	}
	return a.health.Contact.Mark()
}

// remarks are what the silence of etcd means for the processes there.
func (a agentSays) remarks() []string {
	if a.health.Contact == nil {
		return nil
	}
	return a.health.Contact.Lines()
}

// processes are the runs as a snapshot would have them. What is wanted of them is not known.
func (a agentSays) processes(machine string, now time.Time) (out []client.Process) {
	for _, r := range a.runs {
		group, _, _ := strings.Cut(r.ID, ":")
		out = append(out, client.Process{Name: r.ID, Group: group, State: r.State, Text: r.Description(now), Live: true,
			Owner:  &api.Owner{Machine: machine, Token: r.Token, Instance: a.health.Instance},
			Status: &api.Status{Token: r.Token, Instance: a.health.Instance, Observed: r.Observed}})
	}
	return out
}

// hintMachines says to whom a user can turn while etcd is silent, "" to nobody.
func (c *ctl) hintMachines() string {
	book, err := readBook(c.bookPath())
	if err != nil || len(book.Machines) == 0 {
		return ""
	}
	return fmt.Sprintf("; meanwhile status, why, tail and stop ask a machine itself with --machine (%s)", abbreviate(book.names()))
}
