package engine

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/token"
	"github.com/distsuper/distsuper/pkg/token/page"
	"github.com/distsuper/distsuper/test/gate"
)

// tokenHolder is a program that ignores TERM and writes into a file what its token tells it.
func tokenHolder(path string) int {
	signal.Ignore(unix.SIGTERM)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 1
	}
	t, err := token.FromEnvironment()
	if err != nil {
		fmt.Fprintln(file, err)
		return 1
	}
	fmt.Fprintf(file, "token %d of %s: a deadline %v\n", t.Number(), t.Process(), t.Left() < time.Hour)
	ctx, cancel := t.Context(context.Background())
	defer cancel()
	<-ctx.Done()
	left := t.Left()
	fmt.Fprintf(file, "%v at %d, left %d\n", context.Cause(ctx), clock.Real{}.Now(), left)
	select {}
}

// holding is a process that runs a tokenHolder.
func holding(name, file string) api.Process {
	exe, _ := os.Executable()
	p := program(name, fmt.Sprintf("exec env %s=token %s=%s %s", envRole, envWitness, file, exe))
	p.StopWaitSecs = 1
	return p
}

// awaitLine waits for the line of a file that has so many before it.
func awaitLine(t *testing.T, file string, before int) (line string) {
	t.Helper()
	proctest.Eventually(t, func() (bool, string) {
		data, err := os.ReadFile(file)
		lines := strings.SplitAfter(string(data), "\n")
		if len(lines) > before && strings.HasSuffix(lines[before], "\n") {
			line = strings.TrimSuffix(lines[before], "\n")
			return true, ""
		}
		return false, fmt.Sprintf("%q, %v", data, err)
	})
	return line
}

func TestAProcessLearnsThatItsDeadlineIsNear(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		t.Run(fmt.Sprintf("keeper stopped=%v", frozen), func(t *testing.T) {
			onBoth(t, func(t *testing.T, k *kept) {
				file := filepath.Join(t.TempDir(), "told")
				k.must(call{Method: "renew", Leases: []keeper.Lease{lease(1, testTTL, time.Minute)}})
				k.start(leased(holding("h", file), 1))
				if got := awaitLine(t, file, 0); got != "token 7 of h: a deadline true" {
					t.Fatalf("it is told %q", got)
				}
				l := lease(1, testTTL, 2*time.Second)
				k.must(call{Method: "renew", Leases: []keeper.Lease{l}})
				if frozen { // the process needs nobody for this
					k.cmd.Process.Signal(unix.SIGSTOP)
				}
				var at, left int64
				if _, err := fmt.Sscanf(strings.TrimPrefix(awaitLine(t, file, 1), token.ErrLost.Error()), " at %d, left %d", &at, &left); err != nil {
					t.Fatal(err)
				}
				due := l.Deadline.Before(deadline.Grace(testTTL, time.Second))
				if k.hello.Containment == "subreaper" { // where killing takes time, it begins earlier
					due = due.Before(deadline.Lead(testTTL, time.Hour))
				}
				if at < due.Boot {
					t.Errorf("the process is told to end %v before its stop signal is due", time.Duration(due.Boot-at))
				}
				t.Logf("%v after the stop signal was due, with %v left", time.Duration(at-due.Boot), time.Duration(left))
			})
		})
	}
}

func TestAProcessHasNoDeadlineUnderKeep(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	file := filepath.Join(t.TempDir(), "told")
	k.start(keep(holding("h", file)))
	if got := awaitLine(t, file, 0); got != "token 7 of h: a deadline false" {
		t.Errorf("it is told %q", got)
	}
}

// A process of another user can read its deadline, and cannot write it.
func TestAProcessCannotMoveItsDeadline(t *testing.T) {
	gate.Root(t)
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	p := program("x", `(echo >&3) 2>/dev/null && echo written; (: >>/proc/self/fd/3) 2>/dev/null && echo opened; head -c 64 <&3 | wc -c; echo end`)
	p.User = "nobody"
	if got, _ := k.printed(p); strings.TrimSpace(got) != "64" {
		t.Errorf("it says %q", got)
	}
}

func TestWhoOutlivesItsRunMayNotAct(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	file := filepath.Join(t.TempDir(), "address")
	p := program("x", "echo $"+page.Variable+" >"+file+"; exec sleep 1000")
	ref := k.start(keep(p))
	address, err := page.ParseAddress(awaitLine(t, file, 0))
	if err != nil {
		t.Fatal(err)
	}
	r := k.awaitState("x", api.Running)
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/fd/%d", r.PID, page.Descriptor), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	address.Descriptor = fd
	view, err := page.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	if l := view.Limits(); l.Until != deadline.None || l.Stop != deadline.None {
		t.Errorf("while it runs: %+v", l)
	}
	k.must(call{Method: "stop", Ref: ref})
	k.awaitDone("x")
	if l := view.Limits(); l != (page.Limits{}) {
		t.Errorf("when it is over: %+v", l)
	}
	k.must(call{Method: "forget", Ref: ref})
	next := keep(p)
	next.Token++
	k.start(next)
	k.awaitState("x", api.Running)
	if l := view.Limits(); l != (page.Limits{}) {
		t.Errorf("while the next run has the place: %+v", l)
	}
}
