package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

// steps writes down the transitions of a world.
func (w *world) steps() (lines []string) {
	for _, s := range w.record {
		for _, e := range s.effects {
			if e, is := e.(Transitioned); is {
				lines = append(lines, line(e.Transition))
			}
		}
	}
	return lines
}

func line(s keeper.Transition) string {
	what := string(s.Kind)
	if s.Kind == keeper.StateChanged {
		what = fmt.Sprintf("%v -> %v", s.From, s.To)
	}
	for _, add := range []struct {
		is   bool
		text string
	}{{s.PID != 0, fmt.Sprint("pid ", s.PID)}, {s.Tries != 0, fmt.Sprint("tries ", s.Tries)}, {s.Expected, "expected"}, {s.Quick, "quick"},
		{s.Fault != "", string(s.Fault)}, {s.Cause != "", string(s.Cause)}} {
		if add.is {
			what += ", " + add.text
		}
	}
	if s.Exit != nil {
		what += fmt.Sprint(", exit ", *s.Exit)
	}
	return what
}

// What supervisor's events need is there: from_state, tries, expected and the pid that the copy had.
func TestTransitionsTellALifeStepByStep(t *testing.T) {
	for _, test := range []struct {
		name string
		live func(*world)
		want string
	}{
		{"a crash, and one failed try", func(w *world) {
			w.must(kept(web("a", func(p *api.Process) { p.StartRetries = 0 }), 7))
			w.turn()
			w.pass(1100 * time.Millisecond) // nobody looks when startsecs are over
			w.die(w.procs["a"], 3)
			w.turn()
			w.die(w.procs["a"], 0)
			w.turn()
		}, `STOPPED -> STARTING
spawned, pid 101
STARTING -> RUNNING, pid 101
ended, pid 101, exit 3
RUNNING -> EXITED, pid 101, bad exit code, exit 3
EXITED -> STARTING
spawned, pid 102
ended, pid 102, expected, quick, exit 0
STARTING -> BACKOFF, pid 102, tries 1, expected, quick, exited too quickly, exit 0
BACKOFF -> FATAL, exited too quickly, fatal`},
		{"tries are counted", func(w *world) {
			w.must(kept(web("a", func(p *api.Process) { p.StartRetries = 2 }), 7))
			for range 2 {
				w.turn()
				w.die(w.procs["a"], 1)
				w.turn()
				w.pass(3 * time.Second)
			}
			w.turn()
			w.pass(2 * time.Second)
			w.turn()
		}, `STOPPED -> STARTING
spawned, pid 101
ended, pid 101, quick, exit 1
STARTING -> BACKOFF, pid 101, tries 1, quick, exited too quickly, exit 1
BACKOFF -> STARTING, tries 1
spawned, pid 102, tries 1
ended, pid 102, tries 1, quick, exit 1
STARTING -> BACKOFF, pid 102, tries 2, quick, exited too quickly, exit 1
BACKOFF -> STARTING, tries 2
spawned, pid 103, tries 2
STARTING -> RUNNING, pid 103`},
		{"a stop that takes a kill", func(w *world) {
			w.fate.obeys = func() bool { return false }
			w.must(kept(web("a", func(p *api.Process) { p.StartSecs, p.StopWaitSecs = 0, 1 }), 7))
			w.turn()
			w.turn(Stop{Ref: ref("a", 7)})
			w.pass(1100 * time.Millisecond)
			w.turn()
			w.turn()
			w.turn()
		}, `STOPPED -> STARTING
spawned, pid 101
STARTING -> RUNNING, pid 101
RUNNING -> STOPPING, pid 101
kill, pid 101
ended, pid 101, exit -1
STOPPING -> STOPPED, pid 101, stopped, exit -1`},
		{"a refusal", func(w *world) {
			s := kept(web("a"), 7)
			s.Refused = &Failure{Fault: api.FaultNoFile, Text: "can't find command", Refused: true}
			w.must(s)
			w.turn()
		}, `STOPPED -> STARTING
not_spawned, no such file
STARTING -> FATAL, no such file, refused`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			test.live(w)
			if got, want := w.steps(), strings.Split(test.want, "\n"); !slices.Equal(got, want) {
				t.Errorf("it tells\n%s\nwant\n%s", strings.Join(got, "\n"), test.want)
			}
		})
	}
}
