package keeperd

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/logstream"
)

// containments hide cgroups, or not.
var containments = map[string][]string{"cgroups": nil, "no cgroups": {"DISTSUPER_NO_CGROUPS=1"}}

// upgrade replaces the keeper's binary by the one of that path ("" for its own), and waits until it goes on.
func (s *started) upgrade(path string) {
	s.t.Helper()
	before := s.up()
	must(s.t, s.Upgrade(s.t.Context(), keeper.UpgradeRequest{Program: path}))
	s.eventually("the keeper goes on as another binary", func() error {
		now, err := s.Hello(context.Background())
		if err == nil && now.HandoverError != "" {
			s.t.Fatalf("it was not replaced: %s\n%s", now.HandoverError, s.said())
		}
		if err == nil && now.Handovers == before.Handovers {
			err = fmt.Errorf("it is %+v", now)
		}
		if err == nil && (now.PID != before.PID || now.Instance != before.Instance) {
			s.t.Fatalf("it is another keeper: %+v, before %+v", now, before)
		}
		return err
	})
}

// said is the keeper's own log.
func (s *started) said() string {
	text, _ := os.ReadFile(LogFile(s.dir))
	return string(text)
}

func running(r keeper.Run) bool { return r.State == api.Running }

// counter prints numbered lines, in pieces, until a file is there, and ends with a status.
const counter = `i=0; while [ ! -e %s ]; do i=$((i+1)); printf "line %%%%s" $i; printf " of many\n"; done; echo end; exit %d`

// wantCount looks whether a log is what counter has printed.
func wantCount(t *testing.T, name, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines[:len(lines)-1] {
		if line != fmt.Sprintf("line %d of many", i+1) {
			t.Fatalf("%s: line %d is %q", name, i+1, line)
		}
	}
	if lines[len(lines)-1] != "end" {
		t.Fatalf("%s ends with %q", name, lines[len(lines)-1])
	}
}

// wroteAll tells the process that writes to stop, and looks whether it ended as it does and every line of it is in its log.
func (s *started) wroteAll(stop string) {
	s.t.Helper()
	must(s.t, os.WriteFile(stop, nil, 0o600))
	if run := s.wait("writes", done); *run.Exit != 7 {
		s.t.Errorf("the exit code is %d", *run.Exit)
	}
	s.eventually("the log is there to its end", func() error {
		if text := s.whole("writes"); !strings.HasSuffix(text, "end\n") {
			return fmt.Errorf("it ends with %q", text[max(0, len(text)-40):])
		}
		return nil
	})
	wantCount(s.t, "writes", s.whole("writes"))
}

// readBoth looks whether the process that reads got what was sent before and after.
func (s *started) readBoth() {
	s.t.Helper()
	s.eventually("both lines were read", func() error {
		if text := s.whole("reads"); text != "got one\ngot two\n" {
			return fmt.Errorf("it printed %q", text)
		}
		return nil
	})
}

// whole is a log with what rotation has made of it.
func (s *started) whole(id string) string {
	s.t.Helper()
	r, err := s.Log(context.Background(), id, "stdout", logstream.Range{Last: -1})
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func TestAKeeperIsReplacedInPlace(t *testing.T) {
	for name, env := range containments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir(), env...)
			s.up()
			ctx, stop := t.Context(), filepath.Join(t.TempDir(), "stop")
			must(t, s.SetOwner(ctx, "m1"))
			must(t, s.Start(ctx, shell("writes", fmt.Sprintf(counter, stop, 7))))
			must(t, s.Start(ctx, shell("reads", "while read line; do echo got $line; done; exit 3")))
			must(t, s.Start(ctx, shell("ends", "sleep 0.2; exit 5")))
			must(t, s.Start(ctx, shell("stays", "trap 'exit 4' TERM; sleep 1000 & wait")))
			before := map[string]keeper.Run{}
			for _, id := range []string{"writes", "reads", "ends", "stays"} {
				before[id] = s.wait(id, running)
			}
			must(t, s.Stdin(ctx, keeper.Ref{ID: "reads", Token: 7}, []byte("one\n")))
			for range 3 {
				s.upgrade("")
			}
			must(t, s.Stdin(ctx, keeper.Ref{ID: "reads", Token: 7}, []byte("two\n")))
			for _, id := range []string{"writes", "reads", "stays"} {
				if now := s.wait(id, running); now.PID != before[id].PID || now.Starts != 1 {
					t.Errorf("%s was pid %d and is %d, started %d times", id, before[id].PID, now.PID, now.Starts)
				}
			}
			if run := s.wait("ends", done); *run.Exit != 5 {
				t.Errorf("the exit code is %d", *run.Exit)
			}
			s.wroteAll(stop)
			s.readBoth()
			must(t, s.Stop(ctx, keeper.Ref{ID: "stays", Token: 7}))
			if run := s.wait("stays", done); *run.Exit != 4 {
				t.Errorf("the exit code is %d", *run.Exit)
			}
			if hello := s.up(); hello.Owner != "m1" || hello.Handovers != 3 {
				t.Errorf("hello says %+v", hello)
			}
		})
	}
}

// A binary that cannot take over is found before anything is touched.
func TestABrokenBinaryIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	before := s.up()
	must(t, s.Start(t.Context(), shell("p", "sleep 1000")))
	run := s.wait("p", running)
	dir := t.TempDir()
	for name, c := range map[string]struct{ script, says string }{
		"dies":         {"#!/bin/sh\necho it breaks >&2\nkill -SEGV $$\n", "it breaks"},
		"is-old":       {"#!/bin/sh\necho 'unknown flag' >&2\nexit 2\n", "unknown flag"},
		"refuses":      {"#!/bin/sh\ncat >/dev/null\necho '{\"ok\":false,\"problem\":\"too new for me\"}'\nexit 1\n", "too new for me"},
		"lacks-a-flag": {"#!/bin/sh\n[ $# -gt 1 ] && { echo 'unknown flag: --nice' >&2; exit 2; }\ncat >/dev/null\necho '{\"ok\":true}'\n", "unknown flag: --nice"},
		"elsewhere":    {"\x7fELF\x02\x01\x01\x00 of another machine", "exec format error"},
	} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(c.script), 0o700))
		err := s.Upgrade(t.Context(), keeper.UpgradeRequest{Program: path})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if err := s.Upgrade(t.Context(), keeper.UpgradeRequest{Program: filepath.Join(dir, "missing")}); err == nil {
		t.Error("a binary that is not there was taken")
	}
	hangs := filepath.Join(dir, "hangs")
	must(t, os.WriteFile(hangs, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Upgrade(ctx, keeper.UpgradeRequest{Program: hangs}); err == nil {
		t.Error("a binary that hangs was taken")
	}
	must(t, s.Upgrade(t.Context(), keeper.UpgradeRequest{Try: true}))
	if now := s.up(); now.Handovers != before.Handovers || now.Instance != before.Instance {
		t.Errorf("it is %+v", now)
	}
	if now := s.wait("p", running); now.PID != run.PID {
		t.Errorf("the process is %d, and was %d", now.PID, run.PID)
	}
}

// A binary that passes the self-test and cannot be executed leaves the keeper as it was.
func TestAFailedExecLeavesTheKeeperWorking(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	s.up()
	stop := filepath.Join(t.TempDir(), "stop")
	must(t, s.Start(t.Context(), shell("p", fmt.Sprintf(counter, stop, 0))))
	run := s.wait("p", running)
	liar := filepath.Join(t.TempDir(), "liar") // it replaces itself while it is being tested
	must(t, os.WriteFile(liar, []byte("#!/bin/sh\ncat >/dev/null\nprintf '' >$0\necho '{\"ok\":true}'\n"), 0o700))
	must(t, s.Upgrade(t.Context(), keeper.UpgradeRequest{Program: liar}))
	s.eventually("it is told that this failed", func() error {
		now, err := s.Hello(context.Background())
		if err == nil && now.HandoverError == "" {
			err = fmt.Errorf("it is %+v", now)
		}
		return err
	})
	if now := s.wait("p", running); now.PID != run.PID {
		t.Errorf("the process is %d, and was %d", now.PID, run.PID)
	}
	must(t, os.WriteFile(stop, nil, 0o600))
	s.wait("p", done)
	s.eventually("the log is whole", func() error {
		if !strings.HasSuffix(s.whole("p"), "end\n") {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	wantCount(t, "p", s.whole("p"))
	if out, err := exec.Command("prlimit", fmt.Sprint("--pid=", s.cmd.Process.Pid), "--nofile", "--noheadings", "--output=SOFT").Output(); err == nil {
		var soft int
		if _, err := fmt.Sscan(string(out), &soft); err == nil && soft <= 1024 {
			t.Errorf("the limit of open files is %d", soft)
		}
	}
	s.upgrade("")
}
