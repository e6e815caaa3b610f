package keeperd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
)

// failures are ways in which a binary that has passed its self-test cannot go on once it is executed, by the name of its file.
var failures = map[string]func(){
	"few-files": func() {
		var limit unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
		limit.Cur = 8
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			panic(err)
		}
	},
	// It has taken everything over, and may not begin.
	"late": func() {
		o := Options{StateDir: os.Args[2], Version: "late", GuardianCommand: []string{"guardian"}}
		handed, err := resume()
		if err != nil {
			return
		}
		log, _ := openLog(o)
		if _, err = assemble(o, handed, log); err == nil {
			err = errors.New("late, but not too late")
		}
		fmt.Fprintln(os.Stderr, handed.back.take(err))
	},
}

func failAfterExec() {
	exe, _ := os.Executable()
	if fail := failures[filepath.Base(exe)]; fail != nil && os.Getenv(envHandover) != "" {
		fail()
	}
}

// copyOfTest is this binary by another name.
func copyOfTest(t *testing.T, name string) string {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	from, err := os.Open(exe)
	must(t, err)
	defer from.Close()
	path := filepath.Join(t.TempDir(), name)
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, errors.Join(err, to.Close()))
	return path
}

func TestTheBinaryBeforeGoesOnWhenTheOtherOneCannot(t *testing.T) {
	for name := range failures {
		for held, env := range containments {
			t.Run(name+" "+held, func(t *testing.T) {
				t.Parallel()
				s := start(t, t.TempDir(), env...)
				before, stop := s.up(), filepath.Join(t.TempDir(), "stop")
				must(t, s.Start(t.Context(), shell("writes", fmt.Sprintf(counter, stop, 7))))
				must(t, s.Start(t.Context(), shell("reads", "while read line; do echo got $line; done; exit 3")))
				pid := s.wait("writes", running).PID
				s.wait("reads", running)
				must(t, s.Stdin(t.Context(), keeper.Ref{ID: "reads", Token: 7}, []byte("one\n")))
				must(t, s.Upgrade(t.Context(), keeper.UpgradeRequest{Program: copyOfTest(t, name)}))
				s.eventually("it is told that this failed", func() error {
					now, err := s.Hello(context.Background())
					if err == nil && (now.HandoverError == "" || now.Handovers != 0 || now.PID != before.PID || now.Instance != before.Instance || now.Version != "test") {
						err = fmt.Errorf("it is %+v", now)
					}
					return err
				})
				if now := s.wait("writes", running); now.PID != pid || now.Starts != 1 {
					t.Errorf("it was pid %d, and is %d", pid, now.PID)
				}
				s.wroteAll(stop)
				s.upgrade("")
				must(t, s.Stdin(t.Context(), keeper.Ref{ID: "reads", Token: 7}, []byte("two\n")))
				s.readBoth()
			})
		}
	}
}
