package parity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/gate"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// A side is one of the two daemons with its command line: distsuperd solo and distsuperctl, or the real ones.
type side struct {
	name        string
	ours        bool
	daemon, ctl string
	version     string // the daemon's
}

func (s *side) String() string { return s.name }

// bin is our programs.
var bin = build.Folder{Names: []string{"distsuperd", "distsuperctl"}}

// bothSides are ours and theirs. A test is skipped where supervisor is missing, and fails where CI=true says that it
// should be there.
func bothSides(t *testing.T) [2]*side {
	t.Helper()
	theirs := &side{name: "supervisord"}
	for name, path := range map[string]*string{"supervisord": &theirs.daemon, "supervisorctl": &theirs.ctl} {
		found, err := exec.LookPath(name)
		if err != nil {
			gate.Cannot(t, "the real supervisor, with which ours is compared, is not installed (apt-get install supervisor): %v", err)
		}
		*path = found
	}
	ours := &side{name: "solo", ours: true, daemon: bin.Program(t, "distsuperd"), ctl: bin.Program(t, "distsuperctl")}
	for _, s := range []*side{ours, theirs} {
		out, err := exec.Command(s.daemon, "--version").Output()
		words := strings.Fields(string(out))
		if err != nil || len(words) == 0 {
			t.Fatalf("%s --version: %v", s.daemon, err)
		}
		s.version = words[len(words)-1]
	}
	return [2]*side{ours, theirs}
}

// header is the beginning of every configuration that both daemons run.
const header = `[supervisord]
logfile=%(here)s/d.log
pidfile=%(here)s/d.pid
childlogdir=%(here)s
[unix_http_server]
file=%(here)s/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/s.sock
`

// ran is a side at work in a directory of its own.
type ran struct {
	*side
	t    *testing.T
	dir  string
	out  *locked // what the daemon writes on its terminal
	cmd  *exec.Cmd
	done chan struct{} // closed when the daemon has ended
	real *realCtl      // of theirs, once it was asked
}

// prepare makes the directory of a side, with a configuration. Nothing runs there yet.
func (s *side) prepare(t *testing.T, conf string) *ran {
	t.Helper()
	dir, err := os.MkdirTemp("", "parity") // short, for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	r := &ran{side: s, t: t, dir: dir, out: &locked{}}
	t.Cleanup(func() {
		os.RemoveAll(dir)
		os.RemoveAll(config.SoloRuntime(r.path("s.conf"), os.Geteuid()))
	})
	r.write("s.conf", header+conf)
	return r
}

func (r *ran) startDaemon() {
	r.t.Helper()
	args := []string{"-n", "-c", r.path("s.conf")}
	if r.ours {
		args = append([]string{"solo"}, args...)
	}
	r.cmd = exec.Command(r.daemon, args...)
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = r.dir, r.out, r.out
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	r.done = done
	go func() { r.cmd.Wait(); close(done) }()
	r.t.Cleanup(r.end)
	r.until(func() bool {
		if r.over() {
			r.t.Fatalf("%s ended at once: %s", r, r.out)
		}
		return strings.Contains(r.log(), "started with pid") && r.answers()
	}, "it does not start")
}

// answers reports whether the daemon can be asked.
func (r *ran) answers() bool {
	if r.ours {
		_, ok := config.SoloEndpoint(r.path("s.conf"))
		return ok
	}
	_, err := os.Stat(r.path("s.sock"))
	return err == nil
}

// server is where the side's ctl finds the daemon.
func (r *ran) server() string {
	if r.ours {
		endpoint, _ := config.SoloEndpoint(r.path("s.conf"))
		return endpoint
	}
	return "unix://" + r.path("s.sock")
}

func (r *ran) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *ran) pid() int { return r.cmd.Process.Pid }

func (r *ran) path(name string) string { return filepath.Join(r.dir, name) }

func (r *ran) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *ran) read(name string) string {
	text, err := os.ReadFile(r.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Errorf("%s: %v", r, err)
	}
	return string(text)
}

// log is the daemon's log as it stands.
func (r *ran) log() string { return r.read("d.log") }

func (r *ran) until(is func() bool, format string, args ...any) {
	r.t.Helper()
	if !r.within(patience, is) {
		r.t.Fatalf("%s: %s\n%s\n%s", r, fmt.Sprintf(format, args...), r.log(), r.out)
	}
}

// within waits for a condition and reports whether it came.
func (r *ran) within(wait time.Duration, is func() bool) bool {
	for deadline := time.Now().Add(wait); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// stop ends the daemon as TERM does, and returns its exit code.
func (r *ran) stop() int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(unix.SIGTERM); err != nil {
		r.t.Fatalf("%s: TERM: %v", r, err)
	}
	return r.wait()
}

// wait returns the exit code of the daemon when it has ended.
func (r *ran) wait() int {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("%s does not end\n%s", r, r.log())
	}
	return r.cmd.ProcessState.ExitCode()
}

// end ends what a failed test left.
func (r *ran) end() {
	if r.over() {
		return
	}
	r.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(patience):
		r.cmd.Process.Kill()
		<-r.done
	}
}

// ask runs a line of the side's ctl.
func (r *ran) ask(args ...string) answer { return r.askWith("", args...) }

// askWith runs a line of the side's ctl with a text on its standard input.
func (r *ran) askWith(stdin string, args ...string) answer {
	args = append([]string{"-c", r.path("s.conf")}, args...)
	if r.ours {
		return r.askOurs(stdin, args)
	}
	var err error
	if r.real == nil {
		r.real, err = startRealCtl(r.t)
	}
	var a answer
	if err == nil {
		a, err = r.real.ask(r.dir, stdin, args)
	}
	if err != nil {
		r.t.Errorf("supervisorctl %s: %v", strings.Join(args, " "), err)
	}
	return a
}

func (r *ran) askOurs(stdin string, args []string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.ctl, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.dir, strings.NewReader(stdin), &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Errorf("%s %s: %v", r.ctl, strings.Join(args, " "), err)
	}
	if ctx.Err() != nil {
		r.t.Errorf("%s %s does not end; it said %s%s", r.ctl, strings.Join(args, " "), &stdout, &stderr)
	}
	return answer{Out: stdout.String(), Err: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

// onBoth does the same on both sides at once, and returns when both have done it.
func onBoth(sides [2]*ran, do func(r *ran)) {
	var wg sync.WaitGroup
	for _, r := range sides {
		wg.Go(func() { do(r) })
	}
	wg.Wait()
}

// startBoth starts the same configuration on both sides.
func startBoth(t *testing.T, conf string, files map[string]string) [2]*ran {
	t.Helper()
	var out [2]*ran
	for i, s := range bothSides(t) {
		out[i] = s.prepare(t, conf)
		for name, text := range files {
			out[i].write(name, text)
		}
	}
	for _, r := range out {
		r.startDaemon()
	}
	return out
}

// locked is a buffer that is read while it is written.
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
