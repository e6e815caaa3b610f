package page

import (
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A View is a process's side of its place. Its methods may be called from any goroutine.
type View struct {
	slot *slot
	run  uint64
}

// Open maps the place at an address. The descriptor stays as it is, for the children of this process. The memory is never
// unmapped: a process needs it as long as it lives.
func Open(a Address) (*View, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(a.Descriptor, &stat); err != nil {
		return nil, fmt.Errorf("descriptor %d, in which the deadlines of this process stand: %w", a.Descriptor, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG || stat.Size < int64(a.Offset+slotSize) {
		return nil, fmt.Errorf("descriptor %d is not the one that this process was started with", a.Descriptor)
	}
	size := os.Getpagesize()
	begin := a.Offset &^ (size - 1)
	data, err := unix.Mmap(a.Descriptor, int64(begin), size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map descriptor %d, in which the deadlines of this process stand: %w", a.Descriptor, err)
	}
	return &View{slot: (*slot)(unsafe.Pointer(&data[a.Offset-begin])), run: a.Run}, nil
}

// Limits are those of this process by now; they have passed when its run is over.
func (v *View) Limits() Limits {
	l := v.slot.limits()
	if atomic.LoadUint64(&v.slot.run) != v.run { // looked at last: what was read before may be another run's already
		return Limits{}
	}
	return l
}

// Changes counts how often the limits came nearer.
func (v *View) Changes() uint32 { return atomic.LoadUint32(&v.slot.changes) }

// Wait returns when Changes is no longer what it was, or the time is over; sometimes earlier. It keeps a thread.
func (v *View) Wait(changes uint32, most time.Duration) {
	var limit *unix.Timespec
	if most < math.MaxInt64 {
		t := unix.NsecToTimespec(int64(most))
		limit = &t
	}
	const wait = 0
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&v.slot.changes)), wait, uintptr(changes), uintptr(unsafe.Pointer(limit)), 0, 0)
}
