package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/rpc"
)

type stopOptions struct {
	drain, all, json bool
	timeout          time.Duration
}

func newStop() *cobra.Command {
	var o stopOptions
	cmd := &cobra.Command{
		Use:   "stop [NAME...]",
		Short: "stop the agent; processes stay with the keeper unless --drain or --all. With names: stop these processes here",
		Long: `stop stops the agent, and says how the processes are: they stay with the keeper. Each
process that other machines may run ends when its lease expires, some seconds later, and then
starts elsewhere. If the agent starts again before that, no process notices.

--drain stops and releases the processes first, so that other machines start them at once.
--all does the same, and also stops the keeper.

Both also stop the processes when etcd is away. Then stop names those that etcd could not be
told of, and exits with 1; the agent tells it when it starts here again.

stop NAME stops a process of this machine (GROUP:* a whole group), and leaves the agent alone. It
needs neither etcd nor the agent. The fleet is told as soon as etcd answers; the process then stays
stopped, wherever it may run, until somebody starts it (distsuperctl start NAME). A copy that another
machine has started meanwhile is not touched. If the host loses power before the fleet is told,
the process starts again.`,
		Example: "  distsuperagent stop\n  distsuperagent stop --drain\n  distsuperagent stop --all --timeout 5m\n  distsuperagent stop web",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				return stopHere(cmd, cfg, o, args)
			}
			out := cmd.OutOrStdout()
			if o.json {
				cmd.SetOut(io.Discard) // what it says on the way
			}
			s, err := stop(cmd, cfg, o)
			if o.json {
				err = errors.Join(json.NewEncoder(out).Encode(s), err)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&o.drain, "drain", false, "stop and release the processes first")
	cmd.Flags().BoolVar(&o.all, "all", false, "stop and release the processes first, and stop the keeper")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "how long to wait until it has stopped; 0 means as long as it takes")
	return cmd
}

// stopped is what `stop --json` prints.
type stopped struct {
	Stopped bool `json:"stopped"` // an agent ran
	// KeeperPID is that of the keeper which was stopped, too.
	KeeperPID int `json:"keeper_pid,omitempty"`
	// Running are the processes that go on under the keeper, Fenced those that it has stopped since no renewal came from etcd; Untold
	// are those which ended without etcd being told.
	Running []string `json:"running,omitempty"`
	Fenced  []string `json:"fenced,omitempty"`
	Untold  []string `json:"untold,omitempty"`
}

func stop(cmd *cobra.Command, cfg *config.Config, o stopOptions) (s stopped, err error) {
	sig := unix.SIGTERM
	if o.drain || o.all {
		sig = unix.SIGUSR1
	}
	if s.Stopped, err = self.Stop(cmd, cfg, sig, o.timeout); err != nil {
		return s, err
	}
	k := keeper.Dial(keeper.SocketPath(cfg.Agent.StateDir))
	defer k.Close()
	switch {
	case o.all && !s.Stopped:
		if cfg, err = ownersConfig(cmd, cfg, k); err != nil {
			return s, err
		}
		release(cmd, cfg, k, o.timeout)
	case o.drain && !s.Stopped:
		return s, errors.New("only a running agent can release processes; start it first, or stop them with --all and let their leases run out")
	}
	snapshot, err := k.Changes(cmd.Context(), 0)
	if errors.Is(err, keeper.ErrNoKeeper) {
		return s, nil
	}
	if err != nil && !o.all {
		return s, fmt.Errorf("ask the keeper what becomes of the processes: %w", err)
	}
	if o.all {
		if s.KeeperPID, err = stopKeeper(cmd, k, o.timeout); err != nil {
			return s, err
		}
	}
	s.sort(snapshot.Runs, o)
	if len(s.Running)+len(s.Fenced) > 0 {
		for _, line := range now(snapshot, false).Lines() {
			fmt.Fprintln(cmd.OutOrStdout(), line)
		}
	}
	return s, s.failure(o, cfg.Agent.Machine)
}

// sort says what became of the runs that the keeper had after the agent's end.
func (s *stopped) sort(runs []keeper.Run, o stopOptions) {
	for _, r := range runs {
		switch {
		case r.Fate() == contact.Fenced && !o.all:
			s.Fenced = append(s.Fenced, r.ID)
		case !r.Done && !o.all:
			s.Running = append(s.Running, r.ID)
		case o.drain || o.all: // else the next agent comes soon, and tells it
			s.Untold = append(s.Untold, r.ID)
		}
	}
	slices.Sort(s.Running)
	slices.Sort(s.Fenced)
	slices.Sort(s.Untold)
}

// failure is what was asked for and is not done.
func (s *stopped) failure(o stopOptions, machine string) error {
	var errs []error
	if o.drain && len(s.Running) > 0 {
		errs = append(errs, fmt.Errorf("%s: not stopped, since the agent ended before", contact.GroupOf(s.Running)))
	}
	if len(s.Untold) > 0 {
		errs = append(errs, fmt.Errorf("%s: stopped, but etcd could not be told. The agent tells it when it starts here again. Until then, what other "+
			"machines may run starts there once its lease has expired; what is kept here (on_partition = keep) starts nowhere, unless you say "+
			"`distsuperctl machines confirm-dead %s`", contact.GroupOf(s.Untold), machine))
	}
	return errors.Join(errs...)
}

// ownersConfig is the configuration under the machine name to which a keeper belongs: after another name was configured, what
// it runs can be released under that one only.
func ownersConfig(cmd *cobra.Command, cfg *config.Config, k *keeper.Client) (*config.Config, error) {
	hello, err := k.Hello(cmd.Context())
	if err != nil || hello.Owner == "" || hello.Owner == cfg.Agent.Machine {
		return cfg, nil // without a keeper there is nothing to release
	}
	fmt.Fprintf(cmd.OutOrStdout(), "what the keeper runs belongs to the machine %s, and is released under that name\n", hello.Owner)
	if err := cmd.Flags().Set(machineFlag, hello.Owner); err != nil {
		return nil, err
	}
	return self.Load(cmd)
}

// releaseTimeout is how long an agent that is started only to release what the keeper runs may take to join the fleet.
const releaseTimeout = 10 * time.Second

// release has an agent release what a keeper runs, which was left alone: nobody else can tell the fleet that it is dead. When none can
// join, the keeper is stopped all the same, and what was kept waits for the agent's next start, or for machines remove --dead.
func release(cmd *cobra.Command, cfg *config.Config, k *keeper.Client, timeout time.Duration) {
	snapshot, err := k.Changes(cmd.Context(), 0)
	if err != nil || len(snapshot.Runs) == 0 {
		return
	}
	signal := unix.SIGUSR1
	if err := self.Start(cmd, cfg, releaseTimeout); err != nil {
		why := err.Error()
		if pending := (*daemon.PendingError)(nil); errors.As(err, &pending) { // it is stopped below
			why = pending.WaitingFor
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: the fleet cannot be told that these processes end: %s\n", self.Name, why)
		signal = unix.SIGTERM // it may run, and wait for the fleet
	}
	if _, err := self.Stop(cmd, cfg, signal, timeout); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", self.Name, err)
	}
}

// stopKeeper ends the keeper and everything that it still runs, and returns the pid that it had.
func stopKeeper(cmd *cobra.Command, k *keeper.Client, timeout time.Duration) (int, error) {
	ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	pid, err := endKeeper(ctx, k)
	if pid != 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "keeper stopped (pid %d)\n", pid)
	}
	return pid, err
}

// endKeeper ends the keeper with everything that it still runs, and returns the pid that it had, 0 when none is there.
func endKeeper(ctx context.Context, k *keeper.Client) (int, error) {
	hello, err := k.Hello(ctx)
	if errors.Is(err, keeper.ErrNoKeeper) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("stop the keeper: %w", err)
	}
	process, err := daemon.OpenProcess(hello.PID)
	if err != nil {
		return 0, fmt.Errorf("stop the keeper: %w", err)
	}
	defer process.Close()
	// That it answers this proves that the handle is the keeper's.
	if err := k.Shutdown(ctx); err != nil {
		return 0, fmt.Errorf("stop the keeper (pid %d): %w", hello.PID, err)
	}
	if err := process.Wait(ctx); err != nil {
		return 0, fmt.Errorf("the keeper (pid %d) has not ended yet: %w", hello.PID, err)
	}
	return hello.PID, nil
}

// busy says why an agent that is to stop has not ended yet.
func busy(ctx context.Context, cfg *config.Config, addr string) string {
	h, err := health(ctx, cfg, addr)
	if err != nil {
		return ""
	}
	return waitingFor(h)
}

// waitingFor says what a draining agent waits for.
func waitingFor(h rpc.Health) string {
	switch c := h.Contact; {
	case h.Problem != "":
		return h.Problem
	case c != nil && c.State == contact.StateSilent:
		return "etcd " + c.Etcd()
	case h.Draining && h.Processes == 1:
		return "1 process is not released yet"
	case h.Draining && h.Processes > 0:
		return fmt.Sprintf("%d processes are not released yet", h.Processes)
	}
	return ""
}
