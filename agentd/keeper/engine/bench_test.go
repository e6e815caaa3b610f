package engine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
)

// hello is a program whose first act is to write its pid into a fifo.
type hello struct {
	script string
	pids   *bufio.Reader
}

func newHello(b *testing.B) *hello {
	b.Helper()
	fifo := filepath.Join(b.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		b.Fatal(err)
	}
	file, err := os.OpenFile(fifo, os.O_RDWR, 0) // both ends, so that opening waits for nobody
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	return &hello{script: "echo $$ >" + fifo + "; exec sleep 1000", pids: bufio.NewReader(file)}
}

// next waits for a copy and returns its pid.
func (h *hello) next(b *testing.B) int {
	b.Helper()
	line, err := h.pids.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// restart kills a copy and returns the next one, and how long that took. Killing too fast is a hot loop, which
// the keeper slows down.
func (h *hello) restart(b *testing.B, pid int) (int, time.Duration) {
	b.Helper()
	time.Sleep(12 * time.Millisecond)
	begin := time.Now()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		b.Fatal(err)
	}
	pid = h.next(b)
	return pid, time.Since(begin)
}

// bare is the least that a parent can do: fork, exec, wait, again.
func (h *hello) bare(b *testing.B) (stop func()) {
	b.Helper()
	quit := make(chan struct{})
	done := make(chan struct{})
	last := make(chan int, 1)
	go func() {
		defer close(done)
		for {
			pid, err := syscall.ForkExec("/bin/sh", []string{"/bin/sh", "-c", h.script}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Env: os.Environ()})
			if err != nil {
				b.Error(err)
				return
			}
			select {
			case <-last:
			default:
			}
			last <- pid
			syscall.Wait4(pid, nil, 0, nil)
			select {
			case <-quit:
				return
			default:
			}
		}
	}()
	return func() {
		close(quit)
		for {
			select {
			case pid := <-last: // perhaps one that is dead, while its successor is on its way
				unix.Kill(pid, unix.SIGKILL)
			case <-done:
				return
			}
		}
	}
}

// BenchmarkRestart measures the time from the SIGKILL of a process to its replacement's first act, and of a bare
// loop that does nothing else in the same rounds: the ratio is the figure to trust.
func BenchmarkRestart(b *testing.B) {
	for _, containment := range containments {
		for _, others := range []int{0, 200} {
			b.Run(fmt.Sprintf("%s/beside=%d", containment, others), func(b *testing.B) {
				k := startKeeper(b, b.TempDir(), containment)
				for i := range others {
					k.start(keep(program(fmt.Sprint("other", i), "exec sleep 1000")))
				}
				kept, bare := newHello(b), newHello(b)
				k.start(keep(program("x", kept.script)))
				defer bare.bare(b)()
				pid, barePID := kept.next(b), bare.next(b)
				var took, bareTook []time.Duration
				for range b.N {
					var d time.Duration
					pid, d = kept.restart(b, pid)
					took = append(took, d)
					barePID, d = bare.restart(b, barePID)
					bareTook = append(bareTook, d)
				}
				k.must(call{Method: "kill", Ref: keeper.Ref{ID: "x", Token: 7}})
				slices.Sort(took)
				slices.Sort(bareTook)
				ours, floor := took[len(took)/2], bareTook[len(bareTook)/2]
				b.ReportMetric(0, "ns/op") // of both together with the pauses: it means nothing
				b.ReportMetric(float64(ours.Microseconds()), "us/restart")
				b.ReportMetric(float64(floor.Microseconds()), "us/bare")
				b.ReportMetric(float64(ours)/float64(floor), "ratio")
			})
		}
	}
}
