package solo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/config"
)

// refused starts a second daemon of the file in the foreground, which has to end with exit code 2 and say this.
func (r *ran) refused(parts ...string) {
	r.t.Helper()
	out, err := r.command("-n").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		r.t.Fatalf("it ends with %v: %s", err, out)
	}
	for _, part := range parts {
		if !strings.Contains(string(out), part) {
			r.t.Errorf("it says %q, want %q in it", out, part)
		}
	}
}

// Property: a solo does not start what a supervisord of the same file runs already, however that gives itself away.
func TestItRefusesBesideASupervisordOfTheSameFile(t *testing.T) {
	for name, section := range map[string]string{
		"its pid file":    "",
		"its unix socket": "[unix_http_server]\nfile=%(here)s/s.sock\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
		"its serverurl":   "[unix_http_server]\nfile=%(here)s/s.sock\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n[supervisorctl]\nserverurl=unix://%(here)s/s.sock\n",
	} {
		t.Run(name, func(t *testing.T) {
			theirs := both(t)[1].start(t, header+section+sleeper)
			theirs.await("success: a")
			if section != "" { // so that only the server tells
				if err := os.Remove(theirs.path("d.pid")); err != nil {
					t.Fatal(err)
				}
			}
			if name == "its serverurl" {
				theirs.write("d.conf", header+sleeper+"[supervisorctl]\nserverurl=unix://"+theirs.path("s.sock")+"\n")
			}
			mine := &ran{t: t, side: ours(t), dir: theirs.dir, out: &locked{}}
			mine.refused(fmt.Sprintf("(pid %d)", theirs.pid), "would run twice", "systemctl disable --now supervisor")
			theirs.stop()
			mine.run()
			mine.await("success: a")
			mine.stop()
		})
	}
}

// Property: a pid file whose number is a younger process's, as after a reboot, keeps nobody from starting.
func TestAPidFileOfLongAgoKeepsNobodyFromStarting(t *testing.T) {
	r := ours(t).prepare(t, header+sleeper)
	r.write("d.pid", fmt.Sprintf("%d\n", os.Getpid()))
	long := unix.NsecToTimeval(1e18)
	if err := unix.Utimes(r.path("d.pid"), []unix.Timeval{long, long}); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.await("success: a")
	r.stop()
}

// Property: who sweeps the runtime directory away makes no room for a second daemon, and the end of the first takes nothing
// from one that began elsewhere.
func TestASweptRuntimeDirectoryMakesNoRoomForASecondDaemon(t *testing.T) {
	r := ours(t).prepare(t, header+sleeper)
	r.run()
	r.await("success: a")
	r.remove(config.SoloRuntime(r.path("d.conf"), os.Geteuid()))
	for _, gone := range []string{"", "d.pid"} {
		if gone != "" {
			if err := os.Remove(r.path(gone)); err != nil {
				t.Fatal(err)
			}
		}
		second := &ran{t: t, side: r.side, dir: r.dir, out: &locked{}}
		second.refused(fmt.Sprintf("pid %d", r.pid), fmt.Sprintf("kill %d", r.pid))
	}
	r.foundAgain()
	other := filepath.Join(r.dir, "d.pid")
	if err := os.WriteFile(other, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := r.stop(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if text, err := os.ReadFile(other); string(text) != "1\n" {
		t.Errorf("another's pid file has %q after its end (%v)", text, err)
	}
}

// foundAgain waits until whoever looks for the daemon finds it by everything that tells of it.
func (r *ran) foundAgain() {
	r.t.Helper()
	r.until(func() bool {
		_, found := config.SoloEndpoint(r.path("d.conf"))
		pid, _ := os.ReadFile(r.path("d.pid"))
		_, err := os.Stat(filepath.Join(config.SoloRuntime(r.path("d.conf"), os.Geteuid()), "agent.sock"))
		return found && err == nil && strings.TrimSpace(string(pid)) == fmt.Sprint(r.pid)
	}, "nobody finds it: %s", r.log())
	if d, err := r.self().Daemon(r.t.Context()); err != nil || d.PID != r.pid {
		r.t.Errorf("whoever asks it hears %+v, %v", d, err)
	}
}

// Property: what a sweeper takes of a living daemon is made anew, each time, and whoever was connected stays so. At its end nothing is left.
func TestWhatASweeperTakesIsMadeAnew(t *testing.T) {
	r := ours(t).prepare(t, header+sleeper)
	r.run()
	r.await("success: a")
	connected := r.self()
	runtime := config.SoloRuntime(r.path("d.conf"), os.Geteuid())
	for _, swept := range []string{config.SoloSocket(runtime), r.path("d.pid"), filepath.Join(runtime, "solo.pid"), filepath.Join(runtime, "keeper.lock"), runtime} {
		before := strings.Count(r.log(), "was recreated")
		r.remove(swept)
		r.awaitCount("was recreated", before+1)
		r.foundAgain()
	}
	if d, err := connected.Daemon(t.Context()); err != nil || d.PID != r.pid {
		t.Errorf("whoever was connected hears %+v, %v", d, err)
	}
	if strings.Count(r.log(), "spawned: 'a'") != 1 {
		t.Errorf("its process was started anew:\n%s", r.log())
	}
	if code := r.stop(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	for _, path := range []string{runtime, r.path("d.pid")} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// remove removes a file or directory at once: a slow removal would meet what is made anew meanwhile.
func (r *ran) remove(path string) {
	r.t.Helper()
	away := filepath.Join(filepath.Dir(path), fmt.Sprint("removed-", os.Getpid(), "-", time.Now().UnixNano()))
	if err := errors.Join(os.Rename(path, away), os.RemoveAll(away)); err != nil {
		r.t.Fatal(err)
	}
}

// sweep removes the runtime directory, and waits until it is back.
func (r *ran) sweep() {
	r.t.Helper()
	r.remove(config.SoloRuntime(r.path("d.conf"), os.Geteuid()))
	r.foundAgain()
}
