package guardian

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/deadline"
)

// A Guard is the keeper's side of its guardian. It belongs to one goroutine at a time, but for what Groups returns.
type Guard struct {
	command []string // of this binary
	config  Config
	page    *page
	wakeFD  int // eventfd: the page's deadline came nearer
	self    int // pidfd of the keeper
	null    *os.File
	nest    int // cgroup that it starts in, -1 for none
	pid     int
	pidfd   int
	next    process // that is to replace it, between StartNext and Settle
}

// process is a guardian that was started.
type process struct{ pid, pidfd, ready int }

// New makes what a guardian and its keeper share; it starts no process. command are the arguments with which this binary calls
// Main.
func New(command []string, o Config) (*Guard, error) {
	g := &Guard{command: command, config: o, wakeFD: -1, self: -1, nest: -1, pidfd: -1}
	var err error
	if g.page, err = newPage(); err != nil {
		return nil, err
	}
	if g.self, err = unix.PidfdOpen(os.Getpid(), 0); err != nil {
		return nil, fmt.Errorf("open a pidfd, which needs Linux 5.3 and no seccomp profile against it: %w", err)
	}
	if g.wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make the guardian's wake-up: %w", err)
	}
	if g.null, err = os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("open the guardian's standard input: %w", err)
	}
	return g, nil
}

// Nest has the guardian start in a cgroup and kill all runs below base. It takes ownership of fd.
func (g *Guard) Nest(fd int, base string) { g.nest, g.config.Cgroup = fd, base }

// Unnest undoes Nest.
func (g *Guard) Unnest() {
	unix.Close(g.nest)
	g.nest, g.config.Cgroup = -1, ""
}

// Groups records the process groups of living runs for the guardian. It may be used from any goroutine.
func (g *Guard) Groups() *Groups { return &g.page.body.groups }

// SetDeadline says when the guardian is to step in.
func (g *Guard) SetDeadline(d deadline.Deadline) {
	if g.page.setDeadline(d) {
		g.wake()
	}
}

// PID is the guardian's, 0 while there is none.
func (g *Guard) PID() int { return g.pid }

// PIDFD is the guardian's pidfd, -1 while there is none. Whoever watches it closes it.
func (g *Guard) PIDFD() int { return g.pidfd }

// Start makes the guardian process. It holds nothing of the keeper but what it is given. With wait it returns when
// the guardian watches, or an error when it never will.
func (g *Guard) Start(wait bool) error {
	p, err := g.spawn()
	if err != nil {
		return err
	}
	defer unix.Close(p.ready)
	if wait {
		if err := p.awaitReady(); err != nil {
			unix.Close(p.pidfd)
			return err
		}
	}
	g.pid, g.pidfd = p.pid, p.pidfd
	return nil
}

func (g *Guard) spawn() (p process, err error) {
	text, err := json.Marshal(g.config)
	if err != nil {
		return p, fmt.Errorf("write the guardian's config: %w", err)
	}
	var ready [2]int
	if err := unix.Pipe2(ready[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return p, fmt.Errorf("start the guardian: %w", err)
	}
	p = process{ready: ready[0], pidfd: -1}
	null := g.null.Fd()
	attr := &syscall.ProcAttr{
		Env: []string{"PATH=" + os.Getenv("PATH"), Environment + "=" + string(text)},
		Files: []uintptr{null, null, null, uintptr(g.self), uintptr(g.page.fd), uintptr(g.wakeFD),
			uintptr(ready[1])},
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &p.pidfd},
	}
	if g.nest >= 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, g.nest
	}
	// The link names this very file, even when a newer one has taken its path.
	const self = "/proc/self/exe"
	p.pid, err = syscall.ForkExec(self, append([]string{os.Args[0]}, g.command...), attr)
	unix.Close(ready[1])
	if err != nil {
		unix.Close(p.ready)
		return p, fmt.Errorf("start the guardian: %w", err)
	}
	if p.pidfd < 0 {
		if p.pidfd, err = unix.PidfdOpen(p.pid, 0); err != nil {
			unix.Close(p.ready)
			return p, fmt.Errorf("watch the guardian: %w", err)
		}
	}
	return p, nil
}

// awaitReady returns when the guardian watches. One that never will is ended.
func (p process) awaitReady() error {
	if awaitByte(p.ready) {
		return nil
	}
	sendKill(p.pidfd)
	unix.Wait4(p.pid, nil, 0, nil)
	return errors.New("start the guardian: it ended, or was killed, before it could watch")
}

// Inherited returns the limit of open files that the guardian was born with, as every other child would be.
func (g *Guard) Inherited() (limit unix.Rlimit, err error) {
	if err := unix.Prlimit(g.pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		return limit, fmt.Errorf("read the guardian's limit of open files: %w", err)
	}
	return limit, nil
}

// awaitByte waits for the byte that a guardian writes when it watches.
func awaitByte(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(calmTimeout); time.Now().Before(deadline); {
		if n, err := unix.Poll(fds, int(calmTimeout.Milliseconds())); err != nil || n == 0 {
			continue
		}
		var b [1]byte
		n, err := unix.Read(fd, b[:])
		return err == nil && n == 1
	}
	return false
}

// Reap ends the zombie of a guardian that died, and forgets it.
func (g *Guard) Reap() {
	unix.Wait4(g.pid, nil, unix.WNOHANG, nil)
	g.pid, g.pidfd = 0, -1
}

// Close frees what the keeper shares with its guardian, which ends with the keeper.
func (g *Guard) Close() {
	g.page.close()
	unix.Close(g.self)
	unix.Close(g.wakeFD)
	g.null.Close()
}

// wake has the guardian look at the page.
func (g *Guard) wake() {
	one := [8]byte{1}
	unix.Write(g.wakeFD, one[:])
}
