package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/agentd/keeper/keepertest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// subject is a keeper whose processes a test has in its hands.
type subject interface {
	ask(c call) error
	look(id string) (keeper.Run, bool)
	steps() []keeper.Transition
	exit(r keeper.Run, status int)
	crash(r keeper.Run)
}

// real is the engine with processes that exit with the status that they read.
type real struct{ *kept }

func (r real) ask(c call) error { return r.call(c).err() }
func (r real) steps() []keeper.Transition {
	return r.must(call{Method: "transitions"}).Transitions.Transitions
}
func (r real) exit(run keeper.Run, status int) {
	r.must(call{Method: "stdin", Ref: keeper.Ref{ID: run.ID, Token: run.Token}, Text: strconv.Itoa(status) + "\n"})
}
func (r real) crash(run keeper.Run) {
	if err := unix.Kill(run.PID, unix.SIGSEGV); err != nil {
		r.t.Fatalf("kill %s: %v", run.ID, err)
	}
}

// pretended is the Fake that stands for the engine in other tests.
type pretended struct {
	t testing.TB
	f *keepertest.Fake
}

func (p pretended) look(id string) (keeper.Run, bool) { return p.f.Run(id) }

func (p pretended) steps() []keeper.Transition {
	found, err := p.f.Transitions(context.Background(), keeper.Cursor{})
	p.must(err)
	return found.Transitions
}

func (p pretended) ask(c call) error {
	ctx := context.Background()
	switch c.Method {
	case "start":
		return p.f.Start(ctx, c.Start)
	case "update":
		return p.f.Update(ctx, c.Start)
	case "stop":
		return p.f.Stop(ctx, c.Ref)
	case "kill":
		return p.f.Kill(ctx, c.Ref)
	case "renew":
		return p.f.Renew(ctx, c.Leases)
	case "forget":
		return p.f.Forget(ctx, c.Ref, c.Remove)
	case "signal":
		return p.f.Signal(ctx, c.Ref, c.Text)
	}
	p.t.Fatalf("no method %q", c.Method)
	return nil
}

func (p pretended) exit(r keeper.Run, status int) { p.must(p.f.Exit(r.ID, status)) }
func (p pretended) crash(r keeper.Run)            { p.must(p.f.CrashCopy(r.ID, "SIGSEGV")) }

func (p pretended) must(err error) {
	if err != nil {
		p.t.Fatal(err)
	}
}

// move is one line of a script: something is asked for or happens, and then the process comes to be in a state.
type move struct {
	name  string
	do    func(s subject, r keeper.Run) error
	until api.State
	ends  bool // a copy, which others may follow
}

// seen is what must be the same of a run on both.
type seen struct {
	State                   api.State
	Alive, Done, Gone       bool
	Starts, Exit            int
	Signal, Reason          string
	Fault                   api.Fault
	Cause                   keeper.Cause
	Err                     string
	Token                   int64
	Started, Stopped, Ended bool // whether it ever did
}

func play(t *testing.T, s subject, script []move) (all []seen) {
	for _, m := range script {
		before, _ := s.look("a")
		err, r := m.do(s, before), before
		proctest.Eventually(t, func() (bool, string) {
			there := false
			r, there = s.look("a")
			ok := r.State == m.until && (r.PID == 0) == (r.Gone || !there)
			return ok && (!m.ends || !r.Stopped.Equal(before.Stopped)), fmt.Sprintf("%T, %s: %+v is not %v", s, m.name, r, m.until)
		})
		line := seen{State: r.State, Alive: r.PID != 0, Done: r.Done, Gone: r.Gone, Starts: r.Starts, Signal: r.Signal, Reason: r.Reason, Fault: r.Fault,
			Cause: r.Cause, Token: r.Token, Started: !r.Started.IsZero(), Stopped: !r.Stopped.IsZero(), Ended: r.Exit != nil}
		if r.Exit != nil {
			line.Exit = *r.Exit
		}
		for name, sentinel := range sentinels {
			if errors.Is(err, sentinel) {
				line.Err = name
			}
		}
		if err != nil && line.Err == "" {
			t.Errorf("%T, %s: %v", s, m.name, err)
		}
		all = append(all, line)
	}
	return all
}

// alike makes the same of the same transition on both: all but numbers, times, pids, and whether the kernel wrote a core.
func alike(t keeper.Transition) string {
	exit := "none"
	if t.Exit != nil {
		exit = strconv.Itoa(*t.Exit)
	}
	t.Seq, t.Time, t.Boot, t.Exit, t.CoreDumped, t.PID = 0, time.Time{}, 0, nil, false, min(t.PID, 1)
	return fmt.Sprintf("exit %s, %+v", exit, t)
}

// obedient exits with the status that it reads.
func obedient(change func(*api.Process)) api.Process {
	p := program("a", `read status; exit "$status"`)
	p.StopWaitSecs = 1
	change(&p)
	return p
}

func asked(c call) func(subject, keeper.Run) error {
	return func(s subject, _ keeper.Run) error { return s.ask(c) }
}

func exits(status int) func(subject, keeper.Run) error {
	return func(s subject, r keeper.Run) error { s.exit(r, status); return nil }
}

func crashes(s subject, r keeper.Run) error { s.crash(r); return nil }

func waits(subject, keeper.Run) error { return nil }

// renews gives lease 1 a deadline some time from now.
func renews(d time.Duration) func(subject, keeper.Run) error {
	return func(s subject, _ keeper.Run) error {
		return s.ask(call{Method: "renew", Leases: []keeper.Lease{lease(1, 5, d)}})
	}
}

var scripts = map[string][]move{
	"crash, finish, forget": {
		{"start", asked(call{Method: "start", Start: keep(obedient(func(*api.Process) {}))}), api.Running, false},
		{"again", asked(call{Method: "start", Start: keep(obedient(func(*api.Process) {}))}), api.Running, false},
		{"crash", crashes, api.Running, true},
		{"fail", exits(3), api.Running, true},
		{"finish", exits(0), api.Exited, true},
		{"signal", asked(call{Method: "signal", Ref: keeper.Ref{ID: "a", Token: 7}, Text: "HUP"}), api.Exited, false},
		{"forget", asked(call{Method: "forget", Ref: keeper.Ref{ID: "a", Token: 7}}), api.Stopped, false},
		{"start of a forgotten run", asked(call{Method: "start", Start: keep(obedient(func(*api.Process) {}))}), api.Stopped, false},
		{"stop of a forgotten run", asked(call{Method: "stop", Ref: keeper.Ref{ID: "a", Token: 7}}), api.Stopped, false},
	},
	"give up": {
		{"start", asked(call{Method: "start", Start: keep(obedient(func(p *api.Process) { p.StartSecs, p.StartRetries = 5, 1 }))}), api.Starting, false},
		{"quick end", exits(0), api.Backoff, true},
		{"second try", waits, api.Starting, false},
		{"another token", asked(call{Method: "stop", Ref: keeper.Ref{ID: "a", Token: 8}}), api.Starting, false},
		{"quick end", exits(1), api.Fatal, true},
	},
	"stop and kill": {
		{"start", asked(call{Method: "start", Start: keep(obedient(func(p *api.Process) { p.StartSecs = 1 }))}), api.Running, false},
		{"stop", asked(call{Method: "stop", Ref: keeper.Ref{ID: "a", Token: 7}}), api.Stopped, false},
		{"start under another token", asked(call{Method: "start", Start: keeper.StartRequest{Token: 8, Process: obedient(func(*api.Process) {}), OnPartition: api.PartitionKeep}}), api.Stopped, false},
		{"forget", asked(call{Method: "forget", Ref: keeper.Ref{ID: "a", Token: 7}}), api.Stopped, false},
		{"start under another token", asked(call{Method: "start", Start: keeper.StartRequest{Token: 8, Process: obedient(func(*api.Process) {}), OnPartition: api.PartitionKeep}}), api.Running, false},
		{"forget a living one", func(s subject, _ keeper.Run) error {
			if s.ask(call{Method: "forget", Ref: keeper.Ref{ID: "a", Token: 8}}) == nil {
				return errors.New("a living run was forgotten")
			}
			return nil
		}, api.Running, false},
		{"kill", asked(call{Method: "kill", Ref: keeper.Ref{ID: "a", Token: 8}}), api.Stopped, false},
	},
	"fence": {
		{"start without a lease", asked(call{Method: "start", Start: leased(obedient(func(*api.Process) {}), 1)}), api.Stopped, false},
		{"renew", renews(2 * time.Second), api.Stopped, false},
		{"start", asked(call{Method: "start", Start: leased(obedient(func(*api.Process) {}), 1)}), api.Running, false},
		{"nobody renews", waits, api.Stopped, false},
		{"renew", renews(5 * time.Second), api.Running, false},
		{"update to keep", asked(call{Method: "update", Start: keep(obedient(func(p *api.Process) { p.Autorestart = api.RestartNever }))}), api.Running, false},
		{"fail", exits(1), api.Exited, true},
	},
}

func TestTheFakeDoesWhatTheEngineDoes(t *testing.T) {
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := keepertest.New(t, keepertest.Options{Clock: clock.Real{}})
			p, r := pretended{t, fake}, real{startKeeper(t, t.TempDir(), either)}
			got, want := play(t, p, script), play(t, r, script)
			for i, m := range script {
				if got[i] != want[i] {
					t.Errorf("%s:\nthe Fake   %+v\nthe engine %+v", m.name, got[i], want[i])
				}
			}
			faked, real := p.steps(), r.steps()
			for i := range min(len(faked), len(real)) {
				if got, want := alike(faked[i]), alike(real[i]); got != want {
					t.Errorf("transition %d:\nthe Fake   %s\nthe engine %s", i, got, want)
				}
			}
			if len(faked) != len(real) {
				t.Errorf("the Fake told %d transitions, the engine %d", len(faked), len(real))
			}
		})
	}
}
