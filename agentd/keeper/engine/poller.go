package engine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
)

// Tags of the poller's own descriptors; those of runs begin above.
const (
	tagTimer uint64 = iota + 1
	tagWake
	tagGuardian
	firstTag
)

// poller is the epoll of the loop with its timer and its wake-up. Descriptors are told apart by tags that
// are never used again: while a fork is in flight the child's copy of a closed descriptor keeps
// reporting, when its number may be somebody else's.
type poller struct {
	epoll  int
	timer  int // timerfd on CLOCK_BOOTTIME
	wake   int // eventfd, written by other goroutines
	at     clock.Instant
	events [256]unix.EpollEvent
}

func newPoller() (*poller, error) {
	p := &poller{at: clock.Never}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make the epoll of the loop: %w", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make the timer of the loop: %w", err)
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make the wake-up of the loop: %w", err)
	}
	for fd, tag := range map[int]uint64{p.timer: tagTimer, p.wake: tagWake} {
		if err := p.add(fd, unix.EPOLLIN, tag); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *poller) add(fd int, events uint32, tag uint64) error {
	e := unix.EpollEvent{Events: events, Fd: int32(uint32(tag)), Pad: int32(uint32(tag >> 32))}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("watch a descriptor: %w", err)
	}
	return nil
}

// drop takes a descriptor out, and closes it.
func (p *poller) drop(fd int) {
	unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	unix.Close(fd)
}

// setTimer makes wait return at the given instant; Never disarms it.
func (p *poller) setTimer(at clock.Instant) {
	if at == p.at {
		return
	}
	var spec unix.ItimerSpec
	if at != clock.Never {
		spec.Value = unix.NsecToTimespec(int64(max(at, 1)))
	}
	if err := unix.TimerfdSettime(p.timer, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		panic(fmt.Sprintf("set the timer of the loop: %v", err))
	}
	p.at = at
}

// wait returns the tags of what has happened; at once when block is false.
func (p *poller) wait(block bool, tags []uint64) []uint64 {
	timeout := 0
	if block {
		timeout = -1
	}
	n, err := unix.EpollWait(p.epoll, p.events[:], timeout)
	if err != nil && err != unix.EINTR {
		panic(fmt.Sprintf("wait for events of the loop: %v", err))
	}
	for i := range max(n, 0) {
		e := &p.events[i]
		tag := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32
		switch tag {
		case tagTimer:
			p.at = clock.Never
			p.empty(p.timer)
		case tagWake:
			p.empty(p.wake)
		}
		tags = append(tags, tag)
	}
	return tags
}

func (p *poller) empty(fd int) {
	var count [8]byte
	unix.Read(fd, count[:])
}

// nudge makes wait return. It may be called from any goroutine.
func (p *poller) nudge() {
	one := [8]byte{1}
	unix.Write(p.wake, one[:])
}

func (p *poller) close() {
	unix.Close(p.epoll)
	unix.Close(p.timer)
	unix.Close(p.wake)
}
