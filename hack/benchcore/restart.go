package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// pause is the time between two crashes: shorter is a crash loop, which the keeper slows down on purpose.
const pause = 100 * time.Millisecond

// sighting is a copy as the name of its file tells it: its first instruction and its pid.
type sighting struct {
	start int64
	pid   int
}

// after waits for a copy that began after a time.
func after(ctx context.Context, dir string, began int64) (found sighting, err error) {
	err = fleet.Until(ctx, 30*time.Second, "another copy", func() (bool, string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return false, err.Error()
		}
		for _, e := range entries {
			start, pid, _ := strings.Cut(strings.TrimSuffix(e.Name(), ".witness"), "-")
			at, err := strconv.ParseInt(start, 10, 64)
			if err != nil || at <= began {
				continue
			}
			if found.pid, err = strconv.Atoi(pid); err == nil && found.pid > 1 {
				found.start = at
				return true, ""
			}
		}
		return false, fmt.Sprint(len(entries), " copies so far")
	})
	return found, err
}

// restarts measures a crash in place and a bare fork+exec loop by turns, so that both see the same host.
func restarts(ctx context.Context, out io.Writer, o fleet.Options, kills int) error {
	f, err := fleet.Start(ctx, o)
	if err != nil {
		return err
	}
	defer f.Close()
	p := f.Witness("crasher", "-beat", "1h")
	p.StartSecs = 0
	if _, err := f.Client.Create(ctx, p); err != nil {
		return err
	}
	copyOf, err := after(ctx, f.Sightings, 0)
	if err != nil {
		return err
	}
	bare, err := newLoop(ctx, o)
	if err != nil {
		return err
	}
	defer bare.end()
	var ours, floor []time.Duration
	for range kills {
		if !clock.Sleep(ctx, pause) {
			return ctx.Err()
		}
		began := witness.Now()
		if err := unix.Kill(copyOf.pid, unix.SIGKILL); err != nil {
			return fmt.Errorf("kill the copy with pid %d: %w", copyOf.pid, err)
		}
		if copyOf, err = after(ctx, f.Sightings, began); err != nil {
			return err
		}
		ours = append(ours, time.Duration(copyOf.start-began))
		if !clock.Sleep(ctx, pause) {
			return ctx.Err()
		}
		took, err := bare.round(ctx)
		if err != nil {
			return err
		}
		floor = append(floor, took)
	}
	fmt.Fprintf(out, "\n| SIGKILL of a process to its replacement's first instruction (%d each, by turns) | p50 | p90 | max |\n|---|---|---|---|\n", kills)
	for _, row := range []struct {
		name string
		took []time.Duration
	}{{"distsuper, restart in place", ours}, {"bare fork+exec loop", floor}} {
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", row.name, fleet.Millis(fleet.Quantile(row.took, 0.5)),
			fleet.Millis(fleet.Quantile(row.took, 0.9)), fleet.Millis(fleet.Quantile(row.took, 1)))
	}
	fmt.Fprintf(out, "| ratio of the medians (promised: at most 3) | %.2f | | |\n",
		float64(fleet.Quantile(ours, 0.5))/float64(fleet.Quantile(floor, 0.5)))
	return nil
}

// loop is the least that a supervisor could do: wait for the child, fork, exec.
type loop struct {
	argv []string
	dir  string
	pid  int
	last sighting
}

func newLoop(ctx context.Context, o fleet.Options) (*loop, error) {
	l := &loop{dir: filepath.Join(o.Dir, "bare"), argv: []string{o.Witness, "-beat", "1h"}}
	l.argv = append(l.argv, l.dir)
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		return nil, err
	}
	if err := l.spawn(); err != nil {
		return nil, err
	}
	var err error
	l.last, err = after(ctx, l.dir, 0)
	return l, err
}

func (l *loop) spawn() (err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	fd := null.Fd()
	l.pid, err = syscall.ForkExec(l.argv[0], l.argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{fd, fd, 2},
		Sys: &syscall.SysProcAttr{Setpgid: true}})
	return err
}

// round kills the child, waits for it, and starts the next one.
func (l *loop) round(ctx context.Context) (time.Duration, error) {
	began := witness.Now()
	if err := l.kill(); err != nil {
		return 0, err
	}
	if err := l.spawn(); err != nil {
		return 0, err
	}
	var err error
	l.last, err = after(ctx, l.dir, began)
	return time.Duration(l.last.start - began), err
}

func (l *loop) kill() error {
	if l.pid < 2 { // it did not start: to kill 0 is to kill ourselves
		return nil
	}
	if err := unix.Kill(l.pid, unix.SIGKILL); err != nil {
		return err
	}
	for {
		_, err := syscall.Wait4(l.pid, nil, 0, nil)
		if err != syscall.EINTR {
			return err
		}
	}
}

func (l *loop) end() { _ = l.kill() } // it may be dead already
