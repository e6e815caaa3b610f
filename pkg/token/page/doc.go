// Package page is the memory through which a keeper tells each of its processes until when it may act.
//
// A keeper has one such memory (Book) and every process that it starts gets a descriptor of it that can only be read, and in its
// environment (Variable) which Place in it is its own. The keeper moves the deadlines there in place whenever a lease is renewed: that is two
// stores to memory, no system call, and wakes nobody. So it costs nothing that grows with processes times renewals, and a start
// opens no descriptor for it. Only when a deadline comes nearer, as at a fence, the keeper wakes those who wait (View.Wait): the last field
// of a place is a futex.
//
// A reader takes the two clocks of the deadline as package deadline does: whichever is there first counts. When the keeper is
// stopped or dead, what stands in the page stays, and comes. A place is given to one run alone: its number is random, so
// whoever outlives its run, or has another file at that descriptor, does not find its number and may not act.
//
// The descriptor that writes is all that a keeper needs to hand over to a successor that is to go on with the places. That is why the
// memory is not sealed against new writers; processes of other users cannot open it for writing, and nobody can change its size.
package page

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/distsuper/distsuper/pkg/deadline"
)

const (
	// Variable is set to the Address of a process's place.
	Variable = "DISTSUPER_TOKEN_PAGE"
	// Descriptor is the number of the descriptor in a process.
	Descriptor = 3
	// slotSize is that of a place, which is aligned to it; of the first one nothing is used.
	slotSize = 64
	// slotCount is more than a keeper has descriptors for.
	slotCount = 1 << 16
)

// slot is the layout of a place, in the byte order of the machine.
type slot struct {
	run     uint64   // 0 in a free one
	until   [2]int64 // deadline of what the process may do, by CLOCK_BOOTTIME and CLOCK_MONOTONIC_RAW
	stop    [2]int64 // when it gets the stop signal
	changes uint32   // counts how often a deadline came nearer
	_       [slotSize - 44]byte
}

// Limits are until when a process may act. The zero Limits have passed.
type Limits struct {
	Until deadline.Deadline // SIGKILL to all of it; another copy may run soon after that
	Stop  deadline.Deadline // when it is told to stop, which is a little earlier
}

// Address says where a place is: the number of the descriptor, the offset in bytes, and the number of the run that must stand there.
type Address struct {
	Descriptor int
	Offset     int
	Run        uint64
}

// String is the form of an Address in Variable.
func (a Address) String() string { return fmt.Sprintf("%d:%d:%d", a.Descriptor, a.Offset, a.Run) }

// ParseAddress reads what String wrote.
func ParseAddress(text string) (a Address, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return a, fmt.Errorf("%s is %q: it must be three numbers with colons between them", Variable, text)
	}
	fd, e1 := strconv.ParseUint(parts[0], 10, 31)
	offset, e2 := strconv.ParseUint(parts[1], 10, 31)
	run, e3 := strconv.ParseUint(parts[2], 10, 64)
	if e1 != nil || e2 != nil || e3 != nil || offset%slotSize != 0 || run == 0 {
		return a, fmt.Errorf("%s is %q: it must be a descriptor, an offset that is a multiple of %d, and the number of a run", Variable, text, slotSize)
	}
	return Address{Descriptor: int(fd), Offset: int(offset), Run: run}, nil
}
