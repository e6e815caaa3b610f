package guardian

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/procfs"
)

// Environment is the variable that carries the guardian's Config. A process that has it must call Main.
const Environment = "DISTSUPER_GUARDIAN"

// Descriptors that the guardian is born with.
const (
	guardianKeeper = 3 + iota // pidfd of the keeper
	guardianPage
	guardianWake  // eventfd: the page's deadline came nearer
	guardianReady // pipe: a byte says that it watches
)

// Config says what a guardian guards.
type Config struct {
	Instance string `json:"instance"`
	Cgroup   string `json:"cgroup,omitempty"` // the keeper's base
	State    string `json:"state"`            // path of keeper.json
}

// Main is the whole life of the guardian process: it waits until the keeper that made it is dead, kills everything
// that this keeper started, and returns the exit status. When a deadline has passed that the keeper did not
// enforce, it kills the keeper, too. The binary calls it for its hidden command "guardian".
func Main() int {
	var o Config
	if err := json.Unmarshal([]byte(os.Getenv(Environment)), &o); err != nil {
		fmt.Fprintln(os.Stderr, "guardian: it is started by the keeper, not by hand")
		return 2
	}
	runtime.LockOSThread() // what it has to kill may be what keeps the processors busy
	self.PreferThisThread()
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP) // it ends when its work is done
	if err := self.CloseOnExec(); err != nil {
		return 1
	}
	p, err := mapPage(guardianPage)
	if err != nil {
		return 1
	}
	g := guardian{Config: o, page: p}
	self.LowerNoFile() // where the keeper can read it
	unix.Write(guardianReady, []byte{1})
	unix.Close(guardianReady)
	if err := g.watch(); err != nil {
		g.killAll() // it cannot watch, so it cannot promise
		return 1
	}
	g.killAll()
	if o.Cgroup != "" {
		contain.LeaveBase(o.Cgroup)
		contain.RemoveCgroups(o.Cgroup)
	}
	return 0
}

type guardian struct {
	Config
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
		{Fd: guardianWake, Events: unix.POLLIN},
		{Fd: int32(timer), Events: unix.POLLIN},
	}
	for enforced := false; ; {
		at := clock.Never
		if d, now := g.page.deadline(), deadline.Now(clock.Real{}); !enforced {
			late := d.Before(-deadline.GuardianAfter)
			if at = now.Look(late); now.Passed(late) {
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

// killBelowKeeper kills the processes below a keeper that is late. It first stops the keeper, so that it
// starts no others and stays their subreaper: processes that detached themselves, cleared their environment or
// were orphaned are below it. Also, the parent of a process can be read at once, while reading its environment may
// block on what the process does. With a cgroup none of this is needed.
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
		procs := slices.DeleteFunc(procfs.All(), func(p procfs.Stat) bool {
			return p.PID == os.Getpid() || len(left) > 0 && left[contain.MarkOf(p.PID)]
		})
		below := procfs.ByParent(procs)
		if len(below[parent]) == 0 {
			return
		}
		procfs.KillBelow(parent, below)
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

// urgentTimeout is how long the guardian waits for the disk while a deadline stands.
const urgentTimeout = 20 * time.Millisecond

// calmTimeout is how long a guardian may take to start, and to wait for its disk without a deadline.
const calmTimeout = 20 * time.Second

// left returns the marks of children that were left alone because of leave_children. If the disk does not answer in time, they
// are killed, too. Without a deadline, as after an orderly end, there is more time.
func (g guardian) left() map[contain.Mark]bool {
	read := make(chan map[contain.Mark]bool, 1)
	go func() { // on a disk that hangs nobody can wait for it; it ends with this process
		state, _ := contain.ReadState(g.State)
		read <- state.LeftMarks()
	}()
	select {
	case marks := <-read:
		return marks
	case <-time.After(stateTimeout(g.page.deadline())):
		return nil
	}
}

// stateTimeout is how long to wait for the disk before a deadline, which may be deadline.None.
func stateTimeout(d deadline.Deadline) time.Duration {
	if d == deadline.None {
		return calmTimeout
	}
	return urgentTimeout
}

// killAll kills what the keeper started, and returns when nothing of it is alive.
func (g guardian) killAll() {
	if g.Cgroup != "" {
		contain.KillRuns(g.Cgroup)
	}
	contain.Suspects{
		Instances: map[string]bool{g.Instance: true},
		Spared:    g.left(),
		Groups:    g.page.livingGroups(),
		Born:      procfs.Ticks(clock.Real{}.Now().Add(5 * time.Second)),
	}.Kill()
}

// sendKill sends SIGKILL to what a pidfd stands for.
func sendKill(pidfd int) error { return unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) }
