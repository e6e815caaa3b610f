package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/fleet"
)

// sleeper is what is started many times.
var sleeper = []string{"/bin/sleep", "100000"}

// stamp begins the lines of a solo's log.
const stamp = "2006-01-02 15:04:05.000"

// alone measures distsuperd solo: the start of many sleepers beside a bare loop that starts as many, by turns, so
// that all see the same host, and what a hundred of them cost while they sleep.
func alone(ctx context.Context, out io.Writer, dir, bin string, size, rounds int, idle time.Duration) error {
	var whole, started, pipes, plain []time.Duration
	for i := range rounds {
		for _, loop := range []struct {
			took  *[]time.Duration
			pipes bool
		}{{&pipes, true}, {&plain, false}} {
			took, err := bareLoop(size, loop.pipes)
			if err != nil {
				return err
			}
			*loop.took = append(*loop.took, took)
		}
		s, err := startSolo(ctx, filepath.Join(dir, fmt.Sprint("round", i)), bin, size)
		if err != nil {
			return err
		}
		w, o, err := s.times()
		if err = firstOf(err, s.end()); err != nil {
			return err
		}
		whole, started = append(whole, w), append(started, o)
	}
	toPipes, toPlain := ratios(started, pipes), ratios(started, plain) // Quantile sorts
	fmt.Fprintf(out, "\n| %d sleepers, started one after the other (%d rounds, by turns) | p50 | least | most |\n|---|---|---|---|\n", size, rounds)
	for _, row := range []struct {
		name string
		took []time.Duration
	}{{"distsuperd solo, from its first log line to the last spawn", started}, {"the same, from the exec of distsuperd", whole},
		{"bare loop of one thread: three pipes, fork, exec", pipes}, {"the same without pipes", plain}} {
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", row.name, fleet.Millis(fleet.Quantile(row.took, 0.5)),
			fleet.Millis(fleet.Quantile(row.took, 0)), fleet.Millis(fleet.Quantile(row.took, 1)))
	}
	for _, row := range []struct {
		name   string
		ratios []float64
	}{{"the first row to the bare loop of the same round (promised: at most 1.5)", toPipes}, {"the same, to the one without pipes", toPlain}} {
		r := row.ratios
		fmt.Fprintf(out, "| %s | %.2f | %.2f | %.2f |\n", row.name, r[len(r)/2], r[0], r[len(r)-1])
	}
	return asleep(ctx, out, filepath.Join(dir, "asleep"), bin, idle)
}

// ratios compares round by round, and sorts.
func ratios(a, b []time.Duration) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = float64(a[i]) / float64(b[i])
	}
	slices.Sort(r)
	return r
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// asleep measures what solo costs with a hundred sleepers when nothing happens.
func asleep(ctx context.Context, out io.Writer, dir, bin string, idle time.Duration) error {
	const size = 100
	s, err := startSolo(ctx, dir, bin, size)
	if err != nil {
		return err
	}
	cost, err := s.idle(ctx, idle)
	if err = firstOf(err, s.end()); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n| distsuperd solo with %d sleepers, its guardian included (idle for %v) | |\n|---|---|\n", size, idle)
	fmt.Fprintf(out, "| memory, PSS (promised: at most 40 MB) | %.1f MB |\n", cost.pss)
	fmt.Fprintf(out, "| CPU (promised: at most 0.1 %% of a core) | %.3f %% |\n", cost.cpu)
	return nil
}

// soloRun is a distsuperd solo in the foreground.
type soloRun struct {
	cmd   *exec.Cmd
	conf  string
	log   string // file
	began time.Time
}

// startSolo starts one in a new directory, and returns when all its sleepers run.
func startSolo(ctx context.Context, dir, bin string, size int) (*soloRun, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s := &soloRun{conf: filepath.Join(dir, "d.conf"), log: filepath.Join(dir, "d.log")}
	text := fmt.Sprintf("[supervisord]\nlogfile=%%(here)s/d.log\npidfile=%%(here)s/d.pid\nchildlogdir=%%(here)s\n[program:s]\ncommand=%s\nnumprocs=%d\n"+
		"process_name=%%(program_name)s_%%(process_num)04d\nstdout_logfile=NONE\nstderr_logfile=NONE\n", strings.Join(sleeper, " "), size)
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(filepath.Join(bin, "distsuperd"), "solo", "-n", "-c", s.conf)
	s.cmd.Stderr = os.Stderr
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if !clock.Sleep(ctx, time.Second) { // to read its log all the time takes a core from what is measured
		return nil, firstOf(s.end(), ctx.Err())
	}
	err := fleet.Until(ctx, time.Minute, "all sleepers run", func() (bool, string) {
		log, err := os.ReadFile(s.log)
		n := strings.Count(string(log), "success:")
		return n >= size, fmt.Sprintf("%d of %d, %v", n, size, err)
	})
	if err != nil {
		return nil, firstOf(s.end(), err)
	}
	return s, nil
}

// times are how long the last spawn came after the exec of solo, and after the line that says that it has started.
func (s *soloRun) times() (whole, started time.Duration, err error) {
	log, err := os.ReadFile(s.log)
	if err != nil {
		return 0, 0, err
	}
	var first, last time.Time
	for line := range strings.Lines(string(log)) {
		if len(line) < len(stamp) {
			continue
		}
		at, err := time.ParseInLocation(stamp, strings.Replace(line[:len(stamp)], ",", ".", 1), time.Local)
		if err != nil {
			continue
		}
		if strings.Contains(line, "supervisord started") {
			first = at
		} else if strings.Contains(line, "spawned:") {
			last = at
		}
	}
	if first.IsZero() || last.IsZero() {
		return 0, 0, fmt.Errorf("%s does not tell the start", s.log)
	}
	return last.Sub(s.began), last.Sub(first), nil
}

// idle watches solo and its guardian together.
func (s *soloRun) idle(ctx context.Context, d time.Duration) (sum usage, err error) {
	pids := []int{s.cmd.Process.Pid}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pids[0], pids[0]))
	if err != nil {
		return sum, err
	}
	for field := range strings.FieldsSeq(string(children)) {
		if text, _ := os.ReadFile("/proc/" + field + "/cmdline"); strings.Contains(string(text), "\x00guardian\x00") {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return sum, err
			}
			pids = append(pids, pid)
		}
	}
	if len(pids) != 2 {
		return sum, fmt.Errorf("solo has %d guardians, want one", len(pids)-1)
	}
	if !clock.Sleep(ctx, 5*time.Second) { // the start is over
		return sum, ctx.Err()
	}
	var busy time.Duration
	for i, pause := range []time.Duration{d, 0} {
		for _, pid := range pids {
			u, err := look(pid)
			if err != nil {
				return sum, err
			}
			if i == 0 {
				busy -= u.busy
			} else {
				busy += u.busy
				sum.pss += u.pss
			}
		}
		if !clock.Sleep(ctx, pause) {
			return sum, ctx.Err()
		}
	}
	sum.cpu = 100 * float64(busy) / float64(d)
	return sum, nil
}

func (s *soloRun) end() error {
	defer os.RemoveAll(config.SoloRuntime(s.conf, os.Geteuid()))
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// bareLoop is the least that a supervisor of one thread could do: for each a process group, fork and exec, and pipes
// if it is to hear of their output.
func bareLoop(n int, pipes bool) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	b := &bare{fds: []int{null}}
	defer b.end()
	began := time.Now()
	for range n {
		child := [3]int{null, null, null}
		if pipes {
			if child, err = b.pipes(); err != nil {
				return 0, err
			}
		}
		pid, err := syscall.ForkExec(sleeper[0], sleeper, &syscall.ProcAttr{Env: os.Environ(),
			Files: []uintptr{uintptr(child[0]), uintptr(child[1]), uintptr(child[2])}, Sys: &syscall.SysProcAttr{Setpgid: true}})
		if err != nil {
			return 0, err
		}
		b.pids = append(b.pids, pid)
		if pipes {
			for _, fd := range child {
				unix.Close(fd)
			}
		}
	}
	return time.Since(began), nil
}

// bare is what a bare loop has to give back.
type bare struct{ pids, fds []int }

// pipes makes a child's pipes and returns its ends.
func (b *bare) pipes() (child [3]int, err error) {
	for i := range child {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return child, err
		}
		theirs, ours := min(i, 1), 1-min(i, 1) // it reads from the first, and writes to the others
		child[i] = p[theirs]
		b.fds = append(b.fds, p[ours])
	}
	return child, nil
}

func (b *bare) end() {
	for _, pid := range b.pids {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	for _, pid := range b.pids {
		for {
			if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
				break
			}
		}
	}
	for _, fd := range b.fds {
		unix.Close(fd)
	}
}
