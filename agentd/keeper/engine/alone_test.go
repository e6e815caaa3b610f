package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/pkg/api"
)

// watched returns what a keeper that is alone has told of a process.
func (k *kept) watched(id string) []string {
	var lines []string
	for line := range strings.Lines(k.err.String()) {
		if rest, ok := strings.CutPrefix(line, "watch "+id+" "); ok {
			lines = append(lines, strings.TrimSpace(rest))
		}
	}
	return lines
}

func (k *kept) awaitWatched(id string, want ...string) {
	k.t.Helper()
	proctest.Eventually(k.t, func() (bool, string) {
		got := k.watched(id)
		return slices.Equal(got, want), fmt.Sprintf("of %s it tells\n%s\nwant\n%s", id, strings.Join(got, "\n"), strings.Join(want, "\n"))
	})
}

func TestWatcherHearsEachTransitionInItsOrder(t *testing.T) {
	k := startKeeper(t, t.TempDir(), either, envAlone+"=")
	crash := program("crash", "exit 3")
	crash.StartSecs, crash.StartRetries = 10, 0
	k.start(keep(crash))
	k.awaitWatched("crash", "STARTING", "spawned", "ended expected=false quick=true exit=3", "BACKOFF", "FATAL")

	once := program("once", "exit 0")
	k.start(keep(once))
	k.awaitWatched("once", "STARTING", "spawned", "RUNNING", "ended expected=true quick=false exit=0", "EXITED")

	stops := program("stops", "trap 'exit 5' TERM; while :; do sleep 0.01; done")
	ref := k.start(keep(stops))
	k.awaitState("stops", api.Running)
	k.must(call{Method: "stop", Ref: ref})
	k.awaitDone("stops")
	proctest.Eventually(t, func() (bool, string) { // that TERM ended it, or that it exited by itself: the shell's to choose
		got := k.watched("stops")
		ok := len(got) == 6 && slices.Equal(got[:4], []string{"STARTING", "spawned", "RUNNING", "STOPPING"}) &&
			strings.HasPrefix(got[4], "ended ") && got[5] == "STOPPED"
		return ok, fmt.Sprintf("of a stop it tells %q", got)
	})

	missing := program("missing", "/no/such/command")
	missing.Shell = false
	k.start(keep(missing))
	k.awaitWatched("missing", "STARTING", "not_spawned", "FATAL")
}

func TestStopThatIsLateIsToldAsKilling(t *testing.T) {
	k := startKeeper(t, t.TempDir(), either, envAlone+"=")
	deaf := program("deaf", "trap '' TERM; while :; do sleep 0.01; done")
	deaf.StopWaitSecs = 1
	ref := k.start(keep(deaf))
	k.awaitState("deaf", api.Running)
	time.Sleep(50 * time.Millisecond) // until the trap is set, or it dies of TERM, which the test sees
	k.must(call{Method: "stop", Ref: ref})
	k.awaitWatched("deaf", "STARTING", "spawned", "RUNNING", "STOPPING", "kill", "ended expected=false quick=false exit=-1 SIGKILL", "STOPPED")
}

func TestFirstProcessesAreSpawnedInTheirOrder(t *testing.T) {
	k := startKeeper(t, t.TempDir(), either, envAlone+"=a,refused,b,never,c")
	spawned := func() (order []string) {
		for line := range strings.Lines(k.err.String()) {
			if f := strings.Fields(line); len(f) > 2 && f[0] == "watch" && f[2] == "spawned" {
				order = append(order, f[1])
			}
		}
		return order
	}
	k.start(keep(program("c", "sleep 1000")))
	k.start(keep(program("b", "sleep 1000")))
	k.start(keep(program("other", "sleep 1000")))
	refused := program("refused", "/no/such/command")
	refused.Shell = false
	k.start(keep(refused))
	k.awaitWatched("other", "STARTING", "spawned", "RUNNING")
	if got := spawned(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("before the first one has come it spawned %q", got)
	}
	k.start(keep(program("a", "sleep 1000")))
	k.awaitWatched("b", "STARTING", "spawned", "RUNNING")
	if got := spawned(); !slices.Equal(got, []string{"other", "a", "b"}) {
		t.Errorf("it spawned %q, want a and b, while c waits for one that never comes", got)
	}
	k.awaitState("c", api.Running) // after FirstWait
}

func TestAloneNothingIsFenced(t *testing.T) {
	k := startKeeper(t, t.TempDir(), either, envAlone+"=")
	k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, 2, 100*time.Millisecond)}})
	k.start(leased(program("p", "sleep 1000"), 1))
	before := k.awaitState("p", api.Running)
	time.Sleep(500 * time.Millisecond) // what must not happen takes its time: the lease is over
	if after, _ := k.look("p"); after.PID != before.PID || after.State != api.Running {
		t.Errorf("past the deadline of its lease it is %+v", after)
	}
}
