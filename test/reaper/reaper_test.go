package reaper

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// endsAs makes the test binary one whose test leaves daemons behind and then ends as it says.
const endsAs = "REAPER_TEST_ENDS"

func TestMain(m *testing.M) { os.Exit(Run(m.Run)) }

// daemons are processes as nobody would find them by their parent, group or session: they left all three, have
// an environment of their own, ignore what may be ignored, and one is stopped.
const daemons = `trap '' HUP INT TERM
setsid env -i sleep 1000 & echo $! > child
(setsid env -i sh -c 'trap "" HUP TERM; echo $$ > orphan; sleep 1000 & echo $! > grandchild; wait' &)
(setsid sh -c 'echo $$ > stopped; kill -STOP $$' &)`

var written = []string{"child", "orphan", "grandchild", "stopped"}

// The test that the others run in a binary of its own.
func TestLeavesDaemonsBehind(t *testing.T) {
	how := os.Getenv(endsAs)
	if how == "" {
		return
	}
	if err := exec.Command("sh", "-c", daemons).Run(); err != nil {
		t.Fatal(err)
	}
	for _, name := range written {
		pidIn(t, name)
	}
	switch how {
	case "timeout":
		select {}
	case "kill":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	}
}

// pidIn waits for the number in a file.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if pid, bad := strconv.Atoi(strings.TrimSpace(string(text))); bad == nil {
			return pid
		}
		if time.Now().After(deadline) {
			t.Fatalf("no pid in %s: %q, %v", file, text, err)
		}
	}
}

func TestNothingIsLeftHoweverTheTestsEnd(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		how, within, says string
		code              int
	}{
		{"pass", "1m", "PASS", 0},
		{"timeout", "3s", "panic: test timed out after 3s", 2},
		{"kill", "1m", "", 128 + int(unix.SIGKILL)},
	} {
		t.Run(c.how, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(self, "-test.run=^TestLeavesDaemonsBehind$", "-test.timeout="+c.within)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), endsAs+"="+c.how)
			out, err := cmd.CombinedOutput() // which also waits for whoever holds the output open
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.says) {
				t.Errorf("exit %d, want %d: %v\n%s", code, c.code, err, out)
			}
			for _, name := range written {
				pid := pidIn(t, filepath.Join(dir, name))
				if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
					t.Errorf("%s, process %d, is still there: %v", name, pid, err)
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
		})
	}
}
