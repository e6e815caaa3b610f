package starve

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What hogs do, as scripts of sh. Each of them ends by itself when whoever released it is gone.
const (
	count = `while kill -0 $PPID; do i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; done`
	fork  = `while kill -0 $PPID; do /bin/true; done`
	write = `while kill -0 $PPID; do dd if=/dev/zero of=hog.$$ bs=64k count=4 conv=fsync; done`
)

// work is what the i-th hog does: most of them only count.
func work(i int) string {
	switch i % 10 {
	case 3:
		return fork
	case 7:
		return write
	}
	return count
}

// Hogs are loose until they are fed.
type Hogs struct {
	running []*exec.Cmd
	end     chan struct{}
	looking sync.WaitGroup
	seen    []int // threads that had or wanted a processor, each second
}

// Release lets n hogs loose, which write in a folder, at a nice value. They are to be fed even when it fails.
func Release(dir string, n, nice int) (*Hogs, error) {
	h := &Hogs{end: make(chan struct{})}
	h.looking.Go(h.look)
	for i := range n {
		cmd := exec.Command("sh", "-c", work(i))
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return h, err
		}
		h.running = append(h.running, cmd)
		if err := unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, nice); err != nil {
			return h, fmt.Errorf("give a hog the nice value %d: %w", nice, err)
		}
	}
	return h, nil
}

// Feed ends them, and returns the load that there was on average.
func (h *Hogs) Feed() (load float64) {
	for _, cmd := range h.running {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // an error: it is gone
		_ = cmd.Wait()                                // how it ended is known
	}
	close(h.end)
	h.looking.Wait()
	for _, n := range h.seen {
		load += float64(n) / float64(len(h.seen))
	}
	return load
}

func (h *Hogs) look() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.seen = append(h.seen, Runnable())
		case <-h.end:
			return
		}
	}
}

// Runnable is the number of threads that have a processor or want one.
func Runnable() int {
	b, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(b))
	if err != nil || len(fields) < 4 {
		return 0
	}
	now, _, _ := strings.Cut(fields[3], "/")
	n, _ := strconv.Atoi(now)
	return n
}
