// Package solo runs distsuperd solo as its users do: the built binary, with real processes, and beside it the real supervisord, whose
// log and answers it must have.
package solo

import (
	"bytes"
	goflag "flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/keeperd"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/reaper"
)

// The commands of an agent's keeper, which the test binary is, and of a guardian, which distsuperd has, too.
const (
	keeperCommand   = "keeper"
	guardianCommand = "guardian"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// bin is the program under test.
var bin = build.Folder{Names: []string{"distsuperd", "distsuperctl"}}

// The test binary is an agent's keeper, too, and its guardian, when it is called with their commands.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case guardianCommand:
			os.Exit(guardian.Main())
		case keeperCommand:
			os.Exit(keeperd.Main(keeperd.Options{StateDir: os.Args[2], Config: os.Args[3], Version: "test", GuardianCommand: []string{guardianCommand}}))
		}
	}
	// Daemons mostly wait, as supervisord does for whole seconds: more of them than cores may run at once.
	goflag.Parse()
	if err := goflag.Set("test.parallel", "6"); err != nil {
		panic(err) // it is a flag of package testing
	}
	os.Exit(reaper.Run(func() int { return run(m) }))
}

func run(m *testing.M) int {
	if testing.Short() {
		fmt.Println("skipped: with -short no real daemon runs")
		return 0
	}
	defer bin.Remove()
	return m.Run()
}

// side is a daemon under test: distsuperd solo, or the real supervisord.
type side struct {
	name string
	args []string // the command
	ours bool
}

func ours(t *testing.T) side {
	t.Helper()
	return side{"distsuperd solo", []string{bin.Program(t, "distsuperd"), "solo"}, true}
}

// both are solo and the oracle.
func both(t *testing.T) []side {
	t.Helper()
	path, err := exec.LookPath("supervisord")
	if err != nil {
		gate.Cannot(t, "supervisord, the oracle, is not installed")
	}
	return []side{ours(t), {"supervisord", []string{path}, false}}
}

// ran is a daemon that runs in a directory of its own.
type ran struct {
	t    *testing.T
	side side
	dir  string
	out  *locked
	cmd  *exec.Cmd     // nil when it is in the background
	done chan struct{} // closed when cmd has ended
	pid  int
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// header is the beginning of every configuration here.
const header = "[supervisord]\nlogfile=%(here)s/d.log\npidfile=%(here)s/d.pid\nchildlogdir=%(here)s\n"

// start starts a daemon in the foreground.
func (s side) start(t *testing.T, conf string, args ...string) *ran {
	t.Helper()
	r := s.prepare(t, conf)
	r.run(args...)
	return r
}

// run starts a prepared daemon in the foreground.
func (r *ran) run(args ...string) {
	r.t.Helper()
	if err := r.begin(nil, args...); err != nil {
		r.t.Fatal(err)
	}
	r.until(func() bool { return strings.Contains(r.log()+r.out.String(), "started with pid") }, "it does not say that it has started")
}

// begin does not wait until it runs.
func (r *ran) begin(attr *syscall.SysProcAttr, args ...string) error {
	r.cmd = r.command(append([]string{"-n"}, args...)...)
	r.cmd.Stdout, r.cmd.Stderr, r.cmd.SysProcAttr = r.out, r.out, attr
	if err := r.cmd.Start(); err != nil {
		return err
	}
	r.pid, r.done = r.cmd.Process.Pid, make(chan struct{})
	go func() { r.cmd.Wait(); close(r.done) }()
	r.t.Cleanup(r.end)
	return nil
}

func (s side) prepare(t *testing.T, conf string) *ran {
	t.Helper()
	r := &ran{t: t, side: s, dir: t.TempDir(), out: &locked{}}
	r.write("d.conf", conf)
	t.Cleanup(func() { os.RemoveAll(config.SoloRuntime(r.path("d.conf"), os.Geteuid())) })
	return r
}

func (r *ran) path(name string) string { return filepath.Join(r.dir, name) }

func (r *ran) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *ran) command(args ...string) *exec.Cmd {
	all := append(append([]string{}, r.side.args[1:]...), "-c", r.path("d.conf"))
	cmd := exec.Command(r.side.args[0], append(all, args...)...)
	cmd.Dir = r.dir
	return cmd
}

func (r *ran) signal(sig syscall.Signal) {
	r.t.Helper()
	if r.pid < 2 {
		r.t.Fatalf("there is no daemon to be sent %v", sig)
	}
	if err := unix.Kill(r.pid, sig); err != nil {
		r.t.Fatalf("%s: %v: %v", r.side.name, sig, err)
	}
}

// log is the daemon's log as it stands.
func (r *ran) log() string {
	text, _ := os.ReadFile(r.path("d.log"))
	return string(text)
}

// await waits until the log has a text.
func (r *ran) await(text string) {
	r.t.Helper()
	r.until(func() bool { return strings.Contains(r.log(), text) }, "its log has no %q", text)
}

func (r *ran) awaitCount(text string, n int) {
	r.t.Helper()
	r.until(func() bool { return strings.Count(r.log(), text) >= n }, "its log does not have %q %d times", text, n)
}

func (r *ran) until(is func() bool, format string, args ...any) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: %s\n%s\n%s", r.side.name, fmt.Sprintf(format, args...), r.log(), r.out)
		}
	}
}

// stop sends TERM and returns the exit code.
func (r *ran) stop() int {
	r.t.Helper()
	r.signal(unix.SIGTERM)
	return r.wait()
}

// wait returns the exit code of a daemon in the foreground when it has ended.
func (r *ran) wait() int {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("%s does not end\n%s", r.side.name, r.log())
	}
	return r.cmd.ProcessState.ExitCode()
}

// end ends what a failed test left.
func (r *ran) end() {
	select {
	case <-r.done:
		return
	default:
	}
	unix.Kill(r.pid, unix.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(patience):
		r.cmd.Process.Kill()
		<-r.done
	}
}

// awaitPID waits for the pid file of a daemon in the background.
func (r *ran) awaitPID() {
	r.t.Helper()
	r.until(func() bool {
		text, _ := os.ReadFile(r.path("d.pid"))
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		r.pid = pid
		return err == nil && pid > 1
	}, "there is no pid file")
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
