package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/store/embedded"
)

// refuses runs a command that must fail with these words, and look the same from outside before and after.
func (h *testHost) refuses(want string, args ...string) {
	h.t.Helper()
	pidFile := daemon.PIDFile(filepath.Join(h.dir, ".distsuper"), "distsuperd")
	before, err := daemon.Find(pidFile)
	if err != nil {
		h.t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := exec.Command(exe, append(args, "-c", h.file)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		h.t.Errorf("distsuperd %q: %v, %s; want %q", args, err, out, want)
	}
	if after, err := daemon.Find(pidFile); err != nil || after != before {
		h.t.Errorf("distsuperd %q: it was %+v, and is %+v (%v)", args, before, after, err)
	}
}

func TestARestartThatCannotSucceedLeavesTheOldOneRunning(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	h := &testHost{t: t, dir: dir, file: filepath.Join(dir, "distsuper.ini")}
	write := func(lines string) {
		if err := os.WriteFile(h.file, []byte("[distsuperd]\nid=d1\n"+lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	good := fmt.Sprintf("http=%s\n", free.Addr())
	write(good)
	h.distsuperd("start")
	t.Cleanup(func() { write(good); h.distsuperd("stop", "--all") })
	self := h.self(ctx)
	endpoint, err := embedded.Endpoint(filepath.Join(dir, ".distsuper"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ lines, want string }{
		"a broken file":      {"settle=soon\n", "settle"},
		"a port of another":  {fmt.Sprintf("http=%s\n", taken.Addr()), "address already in use"},
		"a log that is none": {good + "log=" + dir + "\n", "open the log"},
		"another key space":  {good + "[etcd]\nprefix=/other/\nendpoints=" + endpoint + "\n", "init db"},
	} {
		write(c.lines)
		h.refuses(c.want, "check")
		h.refuses("the running daemon continues", "restart")
		if err := self.DaemonReload(ctx); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: a reload says %v", name, err)
		}
	}
	write(good) // which it holds itself
	h.distsuperd("check")
	if out := h.distsuperd("restart"); !strings.Contains(out, "started") {
		t.Errorf("restart says %s", out)
	}
}

func TestARestartWhoseNewDaemonEndsStartsTheEarlierOneAgain(t *testing.T) {
	dir := t.TempDir()
	h := &testHost{t: t, dir: dir, file: filepath.Join(dir, "distsuper.ini")}
	if err := os.WriteFile(h.file, []byte("[distsuperd]\nid=d1\nhttp=127.0.0.1:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.distsuperd("start")
	t.Cleanup(func() { h.distsuperd("stop", "--all") })
	pidFile := daemon.PIDFile(filepath.Join(dir, ".distsuper"), "distsuperd")
	before, err := daemon.Find(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "restart", "-c", h.file)
	cmd.Env = append(os.Environ(), runFails+"=1") // nothing that a check could find
	out, err := cmd.CombinedOutput()
	after, gone := daemon.Find(pidFile)
	if err == nil || gone != nil || after.PID == before.PID || !strings.Contains(string(out), fmt.Sprintf("the earlier one was started again (pid %d)", after.PID)) {
		t.Errorf("%v, %s; it was %+v, and is %+v (%v)", err, out, before, after, gone)
	}
}
