package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// envGuardian carries the guardian's orders.
const envGuardian = "DISTSUPER_GUARDIAN"

// Descriptors that the guardian is born with.
const (
	guardianKeeper = 3 + iota // pidfd of the keeper
	guardianPage
	guardianBell  // eventfd: the page's deadline came nearer
	guardianReady // pipe: a byte says that it watches
)

// orders are what a guardian is to guard.
type orders struct {
	Instance string `json:"instance"`
	Cgroup   string `json:"cgroup,omitempty"` // the keeper's base
	State    string `json:"state"`            // path of keeper.json
}

// Guardian is the whole life of the guardian process: it waits until the keeper that made it is dead, kills everything
// that this keeper started, and returns the exit status. When a deadline has passed that the keeper did not
// enforce, it kills the keeper, too. The binary calls it for its hidden command "guardian".
func Guardian() int {
	var o orders
	if err := json.Unmarshal([]byte(os.Getenv(envGuardian)), &o); err != nil {
		fmt.Fprintln(os.Stderr, "guardian: it is started by the keeper, not by hand")
		return 2
	}
	runtime.LockOSThread() // what it has to kill may be what keeps the processors busy
	preferThisThread()
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP) // it ends when its work is done
	if err := closeOnExec(); err != nil {
		return 1
	}
	p, err := mapPage(guardianPage)
	if err != nil {
		return 1
	}
	g := guardian{orders: o, page: p}
	lowerNoFile() // where the keeper can read it
	unix.Write(guardianReady, []byte{1})
	unix.Close(guardianReady)
	if err := g.watch(); err != nil {
		g.killAll() // it cannot watch, so it cannot promise
		return 1
	}
	g.killAll()
	if o.Cgroup != "" {
		leaveCgroup(o.Cgroup)
		removeCgroups(o.Cgroup)
	}
	return 0
}

type guardian struct {
	orders
	page *page
}

// watch returns when the keeper is dead.
func (g guardian) watch() error {
	timer, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return err
	}
	fds := []unix.PollFd{
		{Fd: guardianKeeper, Events: unix.POLLIN},
		{Fd: guardianBell, Events: unix.POLLIN},
		{Fd: int32(timer), Events: unix.POLLIN},
	}
	for enforced := false; ; {
		at := clock.Never
		if d, now := g.page.deadline(), deadline.Now(clock.Real{}); !enforced {
			if at = now.Instant(d).Add(guardianSlack); at <= now.Boot {
				g.killBelowKeeper()
				sendKill(guardianKeeper)
				g.killAll()
				enforced = true
				continue
			}
		}
		if err := armTimer(timer, at); err != nil {
			return err
		}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return err
		}
		if fds[0].Revents != 0 {
			return nil
		}
		var count [8]byte
		for _, fd := range fds[1:] {
			if fd.Revents != 0 {
				unix.Read(int(fd.Fd), count[:])
			}
		}
	}
}

func armTimer(timer int, at clock.Instant) error {
	var spec unix.ItimerSpec
	if at != clock.Never {
		spec.Value = unix.NsecToTimespec(int64(max(at, 1)))
	}
	return unix.TimerfdSettime(timer, unix.TFD_TIMER_ABSTIME, &spec, nil)
}

// killBelowKeeper kills the processes below a keeper that is late. The keeper is stopped first, so that it
// starts no others, and is their subreaper as long as it stands: whatever detached itself, cleared its environment or
// was orphaned is below it. Parents also answer at once, where the environment of a process may be held up by
// what that process does. A cgroup needs none of this.
func (g guardian) killBelowKeeper() {
	if g.Cgroup != "" {
		return
	}
	unix.PidfdSendSignal(guardianKeeper, unix.SIGSTOP, nil, 0)
	parent := pidOf(guardianKeeper)
	if parent < 2 {
		return // it is dead
	}
	left := g.left()
	const rounds = 10 // what is born meanwhile; the sweep for marks comes after the last
	for range rounds {
		procs := slices.DeleteFunc(allProcs(), func(p procInfo) bool { return p.pid == os.Getpid() || len(left) > 0 && left.has(p.pid) })
		below := childrenOf(procs)
		if len(below[parent]) == 0 {
			return
		}
		killBelow(parent, below)
		time.Sleep(time.Millisecond)
	}
}

// pidOf returns the number of the process that a pidfd stands for, below 1 when it has ended.
func pidOf(pidfd int) int {
	data, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(pidfd))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if number, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(number))
			return pid
		}
	}
	return 0
}

// stateWait is how long the guardian waits for the disk with what it must do in time.
const stateWait = 20 * time.Millisecond

// left are the children that runs left alone by the user's wish. A disk that does not tell them in time
// makes them die, too. Where no deadline stands behind a run, as after an orderly end, there is time.
func (g guardian) left() spared {
	told := make(chan spared, 1)
	go func() {
		data, _ := readState(g.State)
		told <- data.leftMarks()
	}()
	select {
	case marks := <-told:
		return marks
	case <-time.After(diskPatience(g.page.deadline())):
		return nil
	}
}

// diskPatience is how long the disk is waited for before a deadline, which may be deadline.None.
func diskPatience(d deadline.Deadline) time.Duration {
	if d == deadline.None {
		return guardianPatience
	}
	return stateWait
}

// spared are the marks of children that were left alone.
type spared map[mark]bool

// has reports whether a process carries one of them.
func (s spared) has(pid int) bool { return s[markIn(marks(pid))] }

// killAll kills what the keeper started, and returns when nothing of it is alive.
func (g guardian) killAll() {
	if g.Cgroup != "" {
		killCgroup(filepath.Join(g.Cgroup, "run"))
	}
	suspects{
		instances: map[string]bool{g.Instance: true},
		left:      g.left(),
		groups:    g.page.livingGroups(),
		born:      ticksAfter(5 * time.Second),
	}.kill()
}

// leaveCgroup moves this process out of the keeper's base, so that it can be removed.
func leaveCgroup(base string) {
	os.WriteFile(filepath.Join(filepath.Dir(base), "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

// guard is the keeper's side of its guardian.
type guard struct {
	command []string // of this binary
	orders  orders
	page    *page
	bell    int
	self    int // pidfd of the keeper
	null    *os.File
	nest    int // cgroup that it is born in, -1 for none
	pid     int
	pidfd   int
}

func newGuard(command []string, o orders, p *page) (*guard, error) {
	g := &guard{command: command, orders: o, page: p, bell: -1, self: -1, nest: -1, pidfd: -1}
	var err error
	if g.self, err = unix.PidfdOpen(os.Getpid(), 0); err != nil {
		return nil, fmt.Errorf("open a pidfd, which needs Linux 5.3 and no seccomp profile against it: %w", err)
	}
	if g.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make the guardian's bell: %w", err)
	}
	if g.null, err = os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("open the guardian's standard input: %w", err)
	}
	return g, nil
}

// nestIn makes the guardian be born in a cgroup of its own below the keeper's base. It is also the
// proof that processes can be.
func (g *guard) nestIn(base string) error {
	dir := filepath.Join(base, "guardian")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a cgroup: %w", err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the cgroup %s: %w", dir, err)
	}
	g.nest, g.orders.Cgroup = fd, base
	return nil
}

// denest takes nestIn back.
func (g *guard) denest() {
	unix.Close(g.nest)
	g.nest, g.orders.Cgroup = -1, ""
}

// guardianPatience is how long a guardian may take to begin, and wait for its disk when nothing is urgent.
const guardianPatience = 20 * time.Second

// start makes the guardian process. It holds nothing of the keeper but what it is given. With wait it returns when
// the guardian watches, or an error when it never will.
func (g *guard) start(wait bool) error {
	text, err := json.Marshal(g.orders)
	if err != nil {
		return fmt.Errorf("write the guardian's orders: %w", err)
	}
	var ready [2]int
	if err := unix.Pipe2(ready[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("start the guardian: %w", err)
	}
	defer unix.Close(ready[0])
	null := g.null.Fd()
	pidfd := -1
	attr := &syscall.ProcAttr{
		Env: []string{"PATH=" + os.Getenv("PATH"), envGuardian + "=" + string(text)},
		Files: []uintptr{null, null, null, uintptr(g.self), uintptr(g.page.fd), uintptr(g.bell),
			uintptr(ready[1])},
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	}
	if g.nest >= 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, g.nest
	}
	// The link names this very file, even when a newer one has taken its path.
	const self = "/proc/self/exe"
	pid, err := syscall.ForkExec(self, append([]string{os.Args[0]}, g.command...), attr)
	unix.Close(ready[1])
	if err != nil {
		return fmt.Errorf("start the guardian: %w", err)
	}
	if pidfd < 0 {
		if pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
			return fmt.Errorf("watch the guardian: %w", err)
		}
	}
	g.pid, g.pidfd = pid, pidfd
	if wait && !awaitByte(ready[0]) {
		sendKill(pidfd)
		unix.Wait4(pid, nil, 0, nil)
		unix.Close(pidfd)
		g.pid, g.pidfd = 0, -1
		return errors.New("start the guardian: it ended, or was killed, before it could watch")
	}
	return nil
}

// inherited returns the limit of open files that the guardian was born with, as every other child would be.
func (g *guard) inherited() (limit unix.Rlimit, err error) {
	if err := unix.Prlimit(g.pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		return limit, fmt.Errorf("read the guardian's limit of open files: %w", err)
	}
	return limit, nil
}

// awaitByte waits for the byte that a guardian writes when it watches.
func awaitByte(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(guardianPatience); time.Now().Before(deadline); {
		if n, err := unix.Poll(fds, int(guardianPatience.Milliseconds())); err != nil || n == 0 {
			continue
		}
		var b [1]byte
		n, err := unix.Read(fd, b[:])
		return err == nil && n == 1
	}
	return false
}

// ring tells the guardian to look at the page.
func (g *guard) ring() {
	one := [8]byte{1}
	unix.Write(g.bell, one[:])
}
