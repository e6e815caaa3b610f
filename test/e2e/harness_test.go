package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// patience is how long anything may take on a busy host before a test gives up on it. No property hangs on it.
const patience = 40 * time.Second

// calm is a touch_timeout for processes that are to notice nothing: with the shortest one, of 2 s, a host that
// stalls for 1.2 s ends them, as it must.
const calm = 10

// fixture is a fleet within a test.
type fixture struct {
	*fleet.Fleet
	t   *testing.T
	ctx context.Context
}

// start makes a fleet of n controllers and m machines that ends with the test.
func start(t *testing.T, controllers, machines int, opts ...func(*fleet.Options)) *fixture {
	t.Helper()
	o := fleet.Options{Dir: shortDir(t), Bin: bin.Path(t), Controllers: controllers, Machines: machines}
	for _, opt := range opts {
		opt(&o)
	}
	t.Cleanup(func() {
		if t.Failed() {
			tellLogs(t, o.Dir)
		}
	})
	f, err := fleet.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return &fixture{Fleet: f, t: t, ctx: t.Context()}
}

// shortDir is t.TempDir with a short path: it holds unix sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Log("clean up:", err)
		}
	})
	return dir
}

// tellLogs shows the ends of the daemons' logs.
func tellLogs(t *testing.T, dir string) {
	for _, pattern := range []string{"*/.distsuper/*.log", "*/.distsuper/etcd/*.log"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Log(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			const most = 4000
			if len(b) > most {
				b = b[len(b)-most:]
			}
			t.Logf("--- %s\n%s", file, b)
		}
	}
}

// until fails the test when look is not satisfied in time.
func (f *fixture) until(what string, look func() (bool, string)) {
	f.t.Helper()
	if err := fleet.Until(f.ctx, patience, what, look); err != nil {
		f.t.Fatal(err)
	}
}

// create makes programs, and ends the test when that fails. While etcd elects a leader it is told so at once, and tries again as a caller would.
func (f *fixture) create(programs ...api.Program) {
	f.t.Helper()
	for _, p := range programs {
		deadline, doubt := time.Now().Add(20*time.Second), false
		for {
			_, err := f.Client.Create(f.ctx, p)
			if err == nil || doubt && errors.Is(err, client.ErrExists) {
				break
			}
			if !errors.Is(err, client.ErrUnavailable) || time.Now().After(deadline) {
				f.t.Fatal(err)
			}
			doubt = true
			f.t.Logf("again: %v", err)
		}
	}
}

// many are n processes of one witness program.
func (f *fixture) many(name string, n int, flags ...string) api.Program {
	p := f.Witness(name, flags...)
	p.ProcessName, p.Numprocs = name+"-%(process_num)03d", n
	return p
}

// steady has n witnesses run that survive what takes a while, and returns their lives.
func (f *fixture) steady(n int) map[string]life {
	f.t.Helper()
	p := f.many("w", n)
	p.TouchTimeout = calm
	f.run(n, p)
	return f.lives()
}

// run makes programs and waits until their n processes run.
func (f *fixture) run(n int, programs ...api.Program) {
	f.t.Helper()
	f.create(programs...)
	f.allRun(n)
}

// allRun waits until there are n processes and all run.
func (f *fixture) allRun(n int) {
	f.t.Helper()
	f.until(fmt.Sprintf("all %d processes run", n), f.Where(f.ctx, n, fleet.Runs))
}

func (f *fixture) snapshot() *client.Snapshot {
	f.t.Helper()
	var snap *client.Snapshot
	f.until("etcd answers", func() (bool, string) { // it may be electing a leader, or the host be busy
		var err error
		snap, err = f.Client.Snapshot(f.ctx)
		return err == nil, fmt.Sprint(err)
	})
	return snap
}

// process is one process of the present snapshot.
func (f *fixture) process(name string) client.Process {
	f.t.Helper()
	p := f.snapshot().Process(name)
	if p == nil {
		f.t.Fatalf("there is no process %s", name)
	}
	return *p
}

// life is what a process would notice: another pid, start time, run or machine.
type life struct {
	Machine       string
	Token         int64
	PID, Starts   int
	Started       time.Time
	ReallyStarted string // by the kernel
}

// lives are those of all processes.
func (f *fixture) lives() map[string]life {
	f.t.Helper()
	all := map[string]life{}
	for _, p := range f.snapshot().Processes() {
		if p.Owner == nil || p.Status == nil {
			f.t.Fatalf("%s is not there to be looked at", fleet.Describe(p))
		}
		all[p.Name] = life{Machine: p.Owner.Machine, Token: p.Owner.Token, PID: p.Status.PID, Starts: p.Status.Starts,
			Started: p.Status.Started, ReallyStarted: startTime(p.Status.PID)}
	}
	return all
}

// startTime is the kernel's start time of a pid, "gone" for none.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "gone"
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	return fields[19] // starttime, field 22 of proc(5)
}

func isZombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || !strings.HasPrefix(string(b[bytes.LastIndexByte(b, ')')+1:]), " Z") {
		return false
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // its first thread may end before others do, which hold its files
	return err == nil && len(tasks) <= 1
}

// noticed fails the test when any process is not as it was.
func (f *fixture) noticed(before map[string]life, what string) {
	f.t.Helper()
	after := f.lives()
	if len(after) != len(before) {
		f.t.Errorf("%s: there were %d processes, and are %d", what, len(before), len(after))
	}
	for name, b := range before {
		if a := after[name]; a != b || a.ReallyStarted == "gone" {
			f.t.Errorf("%s noticed that %s:\nbefore %+v\nafter  %+v", name, what, b, a)
		}
	}
}

// onceEach fails the test when two copies of a process were ever alive at once.
func (f *fixture) onceEach() {
	f.t.Helper()
	copies, err := f.Copies()
	if err != nil {
		f.t.Fatal(err)
	}
	if most, pair := witness.MaxCopies(copies); most > 1 {
		f.t.Errorf("%d copies at once: %+v and %+v", most, pair[0], pair[1])
	} else if most == 0 {
		f.t.Error("nothing has testified")
	}
}

// must runs a command that has to succeed.
func (f *fixture) must(n *cluster.Node, program string, args ...string) string {
	f.t.Helper()
	out, err := n.Must(f.ctx, program, args...)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// leader waits for a controller that leads.
func (f *fixture) leader() *cluster.Node {
	f.t.Helper()
	var n *cluster.Node
	f.until("a controller leads", func() (bool, string) {
		n = f.Leader(f.ctx)
		return n != nil, "none"
	})
	return n
}
