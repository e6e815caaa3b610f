package solo

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/gate"
)

// nobody is the user as whom daemons of tests run, and a directory of theirs.
func nobody(t *testing.T, r *ran) (uid int, dir string) {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	// Each part of the way there has to let them through.
	for path := r.dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir = r.path("work")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	return uid, dir
}

const nobodys = "[supervisord]\nuser=nobody\nlogfile=%(here)s/work/d.log\npidfile=%(here)s/work/d.pid\nchildlogdir=%(here)s/work\n" +
	"[program:a]\ncommand=sh -c 'id -u; exec sleep 1000'\nstdout_logfile=%(here)s/work/a.out\n"

func TestUserIsWhoOwnsItsFilesAndRunsItsProcesses(t *testing.T) {
	gate.Root(t)
	for _, s := range both(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := s.prepare(t, nobodys)
			uid, dir := nobody(t, r)
			r.run()
			read := func(name string) string { text, _ := os.ReadFile(filepath.Join(dir, name)); return string(text) }
			r.until(func() bool { return read("a.out") == fmt.Sprintln(uid) }, "its process runs as %q", read("a.out"))
			if !strings.Contains(read("d.log"), fmt.Sprintf("INFO Set uid to user %d succeeded", uid)) || strings.Contains(read("d.log"), "running as root") {
				t.Errorf("its log is\n%s", read("d.log"))
			}
			owned := map[string]bool{filepath.Join(dir, "d.log"): true, filepath.Join(dir, "d.pid"): true, filepath.Join(dir, "a.out"): true}
			if s.ours {
				r.until(func() bool { _, ok := config.SoloEndpoint(r.path("d.conf")); return ok }, "root does not find it")
				owned[config.SoloSocket(config.SoloRuntime(r.path("d.conf"), 0))] = true
			}
			for path := range owned {
				info, err := os.Lstat(path)
				if err != nil {
					t.Error(err)
				} else if got := info.Sys().(*syscall.Stat_t).Uid; got != uint32(uid) {
					t.Errorf("%s belongs to %d, want %d", path, got, uid)
				}
			}
			r.until(func() bool { return strings.Contains(read("d.log"), "success: a") }, "its process does not run")
			r.signal(syscall.SIGHUP) // it has no more to give up
			r.until(func() bool { return strings.Count(read("d.log"), "success: a") == 2 }, "it does not come back: %s", read("d.log"))
			if code := r.stop(); code != 0 {
				t.Errorf("exit code %d\n%s", code, read("d.log"))
			}
		})
	}
}

func TestUserIsRefusedToWhoIsNotRoot(t *testing.T) {
	gate.Root(t)
	for _, s := range both(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := s.prepare(t, strings.Replace(nobodys, "user=nobody", "user=daemon", 1))
			uid, _ := nobody(t, r)
			if s.ours { // nobody has to be able to run it
				exe, err := os.ReadFile(s.args[0])
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(r.path("exe"), exe, 0o755); err != nil {
					t.Fatal(err)
				}
				r.side.args = append([]string{r.path("exe")}, s.args[1:]...)
			}
			if err := r.begin(&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}); err != nil {
				t.Fatal(err)
			}
			if code := r.wait(); code != 2 || !strings.Contains(r.out.String(), "Error: Can't drop privilege as nonroot user") {
				t.Errorf("exit code %d: %s", code, r.out)
			}
		})
	}
}

// TestAnotherUserTakesOverAfterOne changes user= from one start to the next.
func TestAnotherUserTakesOverAfterOne(t *testing.T) {
	gate.Root(t)
	t.Parallel()
	r := ours(t).prepare(t, nobodys)
	nobody(t, r)
	if err := os.Chmod(r.path("work"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nobody", "daemon", "root", "nobody"} {
		os.Remove(r.path("work/d.log"))
		os.Remove(r.path("work/a.out"))
		r.run("-u", name)
		r.until(func() bool {
			text, _ := os.ReadFile(r.path("work/d.log"))
			return strings.Contains(string(text), "spawned: 'a'")
		}, "as %s it does not run", name)
		if code := r.stop(); code != 0 {
			t.Errorf("as %s: exit code %d", name, code)
		}
	}
}
