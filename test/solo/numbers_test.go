package solo

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"
)

// What solo costs, in numbers. They take a machine that does nothing else, so they are among the long runs.

const (
	mostMemory = 40 << 10 // kB of PSS, of solo and its guardian together
	mostCPU    = 0.001    // of a core
	mostSpawn  = 1.5      // times a bare loop
)

func longRun(t *testing.T) side {
	t.Helper()
	gate.Long(t)
	return ours(t)
}

func sleepers(n int) string {
	return header + fmt.Sprintf("[program:s]\ncommand=/bin/sleep 100000\nnumprocs=%d\nprocess_name=%%(program_name)s_%%(process_num)04d\n"+
		"stdout_logfile=NONE\nstderr_logfile=NONE\n", n)
}

func TestLongHundredSleepersCostLittle(t *testing.T) {
	s := longRun(t)
	r := s.start(t, sleepers(100))
	r.awaitCount("success:", 100)
	time.Sleep(5 * time.Second) // the start is over
	pids := []int{r.pid, guardianOf(t, r.pid)}
	before := cpuOf(t, pids)
	const window = 60 * time.Second
	time.Sleep(window)
	share := float64(cpuOf(t, pids)-before) / float64(window)
	memory := 0
	for _, pid := range pids {
		memory += pss(t, pid)
	}
	t.Logf("100 sleepers: %d kB PSS, %.4f %% of a core idle", memory, 100*share)
	if memory > mostMemory || share > mostCPU {
		t.Errorf("%d kB and %.4f %%, want at most %d kB and %.2f %%", memory, 100*share, mostMemory, 100*mostCPU)
	}
	r.stop()
}

// guardianOf finds the only child that is this binary, too.
func guardianOf(t *testing.T, parent int) int {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(string(children)) {
		if text, _ := os.ReadFile("/proc/" + f + "/cmdline"); strings.Contains(string(text), "\x00"+guardianCommand+"\x00") {
			pid, _ := strconv.Atoi(f)
			return pid
		}
	}
	t.Fatalf("%d has no guardian", parent)
	return 0
}

// pss is the proportional share of memory, in kB.
func pss(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%d has no PSS", pid)
	return 0
}

// cpuOf is the time that all threads of some processes were on a core.
func cpuOf(t *testing.T, pids []int) (sum time.Duration) {
	t.Helper()
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("%d has no threads: %v", pid, err)
		}
		for _, thread := range threads {
			text, err := os.ReadFile(thread)
			if err != nil {
				continue // it ended
			}
			n, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += time.Duration(n)
		}
	}
	return sum
}

// TestLongThousandProgramsStartAboutAsFastAsTheyCanBeSpawned compares the fastest of each, by turns: other work on the
// machine only makes either slower.
func TestLongThousandProgramsStartAboutAsFastAsTheyCanBeSpawned(t *testing.T) {
	s := longRun(t)
	const n = 1000
	var bare, ours []time.Duration
	for range 5 {
		bare = append(bare, bareLoop(t, n))
		r := s.prepare(t, sleepers(n))
		r.run()
		time.Sleep(time.Second) // reading the log all the time takes a core from what is measured
		r.awaitCount("spawned:", n)
		ours = append(ours, between(t, r.log(), "supervisord started", "spawned:"))
		r.awaitCount("success:", n)
		r.stop()
	}
	t.Logf("%d programs: bare loop %v, solo %v", n, bare, ours)
	if ratio := float64(slices.Min(ours)) / float64(slices.Min(bare)); ratio > mostSpawn {
		t.Errorf("it takes %.2f times a bare loop, want at most %.1f", ratio, mostSpawn)
	}
}

// bareLoop spawns as one thread of a supervisor has to: pipes, a process group, fork and exec, one after the other.
func bareLoop(t *testing.T, n int) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pids, fds := make([]int, 0, n), make([]int, 0, 3*n)
	defer func() {
		for _, pid := range pids {
			unix.Kill(pid, unix.SIGKILL)
			unix.Wait4(pid, nil, 0, nil)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	start := time.Now()
	for range n {
		var in, out, err [2]int
		for _, p := range []*[2]int{&in, &out, &err} {
			if e := unix.Pipe2(p[:], unix.O_CLOEXEC); e != nil {
				t.Fatal(e)
			}
		}
		pid, e := syscall.ForkExec("/bin/sleep", []string{"/bin/sleep", "100000"}, &syscall.ProcAttr{Env: os.Environ(),
			Files: []uintptr{uintptr(in[0]), uintptr(out[1]), uintptr(err[1])}, Sys: &syscall.SysProcAttr{Setpgid: true}})
		if e != nil {
			t.Fatal(e)
		}
		pids = append(pids, pid)
		for _, fd := range []int{in[0], out[1], err[1]} {
			unix.Close(fd)
		}
		fds = append(fds, in[1], out[0], err[0])
	}
	return time.Since(start)
}

// between is the time from the first line with one text to the last with another.
func between(t *testing.T, log, from, to string) time.Duration {
	t.Helper()
	var first, last time.Time
	for line := range strings.Lines(log) {
		if len(line) < 23 {
			continue
		}
		at, err := time.ParseInLocation("2006-01-02 15:04:05.000", strings.Replace(line[:23], ",", ".", 1), time.Local)
		if err != nil {
			t.Fatal(err)
		}
		if first.IsZero() && strings.Contains(line, from) {
			first = at
		}
		if strings.Contains(line, to) {
			last = at
		}
	}
	return last.Sub(first)
}
