package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/web"
	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/supervisor"
	"github.com/distsuper/distsuper/pkg/visible"
)

// status is what `status --json` prints. Its field names are for ever.
type status struct {
	daemoncmd.Status
	Health *rpc.Health `json:"health,omitempty"`
	// Contact is how the machine stands with etcd, as the agent says or, when it does not answer, the keeper.
	Contact *contact.Contact `json:"contact,omitempty"`
	// Keeper may run without an agent, and has the processes then.
	Keeper *keeperStatus `json:"keeper,omitempty"`
	// Processes are what the keeper runs, with -l.
	Processes []rpc.Run `json:"processes,omitempty"`
}

type keeperStatus struct {
	PID         int    `json:"pid"`
	Instance    string `json:"instance"`
	Version     string `json:"version"`
	Containment string `json:"containment"`
	// KillMillis is how long killing a process with its descendants takes by now, and how much earlier its deadline is enforced.
	KillMillis int64 `json:"kill_ms,omitempty"`
	Processes  int   `json:"processes"`
	// Goroutines are those of the keeper's process.
	Goroutines int `json:"goroutines,omitempty"`
	// Down are those of the processes of which nothing is alive now: the keeper starts them again, or they wait for their lease.
	Down int `json:"down,omitempty"`
}

func newStatus() *cobra.Command {
	var list bool
	cmd := self.NewStatus(&cobra.Command{
		Short: "show whether the agent and its keeper run, how they stand with etcd, and with -l the processes",
		Long: `status shows whether the agent and its keeper run, when etcd last answered this machine, and what that
means for the processes here. It does not ask etcd, and without an agent it shows what the keeper knows.`,
	}, "https", func(ctx context.Context, cfg *config.Config) (daemoncmd.Report, error) { return look(ctx, cfg, list) })
	cmd.Example += "\n  distsuperagent status -l"
	cmd.Flags().BoolVarP(&list, "list", "l", false, "list the processes of this machine, too")
	return cmd
}

// look asks the keeper, and the agent if it runs. With list it lists the processes.
func look(ctx context.Context, cfg *config.Config, list bool) (s status, err error) {
	common, asks, err := self.Find(cfg)
	if err != nil {
		return s, err
	}
	s.Status = common
	if err := s.askKeeper(ctx, cfg, list); err != nil {
		s.Problem = err.Error()
	}
	if !asks {
		return s, nil
	}
	h, err := health(ctx, cfg, s.Daemon.HTTP)
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	s.Health = &h
	if h.Contact != nil {
		s.Contact = h.Contact
	}
	return s, nil
}

// health asks the running agent, as itself: who may read its key may ask.
func health(ctx context.Context, cfg *config.Config, addr string) (rpc.Health, error) {
	id, err := mtls.LoadIdentity(identityFile(cfg), "machine "+cfg.Agent.Machine)
	if err != nil {
		return rpc.Health{}, err
	}
	c := rpc.NewClient(addr, mtls.ClientConfig(id.Cert, id.Fingerprint))
	defer c.Close()
	return c.Health(ctx)
}

// askKeeper asks the keeper, which needs no agent for its answer.
func (s *status) askKeeper(ctx context.Context, cfg *config.Config, list bool) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	k := keeper.Dial(keeper.SocketPath(cfg.Agent.StateDir))
	defer k.Close()
	hello, err := k.Hello(ctx)
	if errors.Is(err, keeper.ErrNoKeeper) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the keeper does not answer: %w", err)
	}
	snapshot, err := k.Changes(ctx, 0)
	if err != nil {
		return fmt.Errorf("the keeper does not answer: %w", err)
	}
	s.Keeper = &keeperStatus{PID: hello.PID, Instance: hello.Instance, Version: hello.Version, Containment: hello.Containment, KillMillis: hello.KillMillis,
		Goroutines: hello.Goroutines}
	s.Keeper.count(snapshot.Runs)
	c := now(snapshot, s.Running)
	s.Contact = &c
	if list {
		s.Processes = web.Runs(snapshot, deadline.Now(clock.Real{}))
		slices.SortFunc(s.Processes, func(a, b rpc.Run) int { return strings.Compare(a.ID, b.ID) })
	}
	return nil
}

func (s *keeperStatus) count(runs []keeper.Run) {
	for _, r := range runs {
		if r.Done {
			continue
		}
		s.Processes++
		if r.Gone {
			s.Down++
		}
	}
}

func (s *keeperStatus) String() string {
	down := ""
	if s.Down > 0 {
		down = fmt.Sprintf(" (%d not running now)", s.Down)
	}
	held := s.Containment
	if s.KillMillis > 0 {
		held += fmt.Sprintf(" (killing a process tree takes up to %d ms)", s.KillMillis)
	}
	processes := "1 process"
	if s.Processes != 1 {
		processes = fmt.Sprintf("%d processes", s.Processes)
	}
	return fmt.Sprintf("pid %d, %s%s, held by %s, version %s", s.PID, processes, down, held, s.Version)
}

// Print implements daemoncmd.Report.
func (s status) Print(out io.Writer) {
	if h := s.Health; h != nil {
		draining := ""
		if h.Draining {
			draining = "processes are being stopped and released"
		}
		daemoncmd.Lines(out, "machine", h.Machine, "draining", draining, "problem", h.Problem)
	}
	daemoncmd.Lines(out, "problem", s.Problem)
	if c := s.Contact; c != nil {
		daemoncmd.Lines(out, "etcd", c.Etcd())
		for _, line := range c.Lines() {
			daemoncmd.Lines(out, "processes", line)
		}
	}
	if k := s.Keeper; k != nil {
		daemoncmd.Lines(out, "keeper", k.String())
	}
	s.printProcesses(out)
}

// printProcesses prints a line of status for each, as distsuperctl does.
func (s status) printProcesses(out io.Writer) {
	names := make([]string, len(s.Processes))
	for i, r := range s.Processes {
		names[i] = r.ID
	}
	width := supervisor.StatusWidth(names)
	for _, r := range s.Processes {
		text := r.Description(time.Now())
		if r.Fate == contact.Bounded && s.Contact.State != contact.StateAnswers {
			text += fmt.Sprintf(", deadline in %s", contact.Span(time.Duration(r.LeftMillis)*time.Millisecond))
		}
		if held := r.HeldText(); held != "" {
			text = strings.TrimPrefix(text+", "+held, ", ")
		}
		fmt.Fprintln(out, visible.Line(supervisor.StatusLine(width, r.ID, r.State, text)))
	}
}

// now is how a machine stands with etcd by what its keeper has.
func now(all keeper.Snapshot, agent bool) contact.Contact {
	c := all.Contact(deadline.Now(clock.Real{}), time.Now())
	if !agent {
		c = c.Unasked()
	}
	return c
}
