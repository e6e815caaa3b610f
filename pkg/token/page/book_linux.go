package page

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/deadline"
)

// A Book is the keeper's side: it gives out places and writes into them. Its methods may be called from any goroutine.
type Book struct {
	write, read int // descriptors of one memory
	data        []byte
	slots       *[slotCount]slot

	mu   sync.Mutex // guards what follows
	used int        // places from here on were never given out
	free []int
}

// NewBook makes an empty one.
func NewBook() (*Book, error) {
	b := &Book{write: -1, read: -1, used: 1}
	if err := b.open(); err != nil {
		b.Close()
		return nil, fmt.Errorf("make the memory that processes read their deadlines from: %w", err)
	}
	return b, nil
}

func (b *Book) open() (err error) {
	const size = slotCount * slotSize // of which only what is written takes memory
	if b.write, err = unix.MemfdCreate("distsuper-token", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING); err != nil {
		return err
	}
	if err = unix.Ftruncate(b.write, size); err != nil {
		return err
	}
	if err = unix.Fchmod(b.write, 0o444); err != nil {
		return err
	}
	if _, err = unix.FcntlInt(uintptr(b.write), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return err
	}
	if b.data, err = unix.Mmap(b.write, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return err
	}
	b.slots = (*[slotCount]slot)(unsafe.Pointer(&b.data[0]))
	b.read, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", b.write), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return err
}

// Descriptor is the one for processes, which can only be read.
func (b *Book) Descriptor() int { return b.read }

// Close frees the memory. Processes that have it keep what stands in it.
func (b *Book) Close() {
	for _, fd := range []int{b.write, b.read} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if b.data != nil {
		unix.Munmap(b.data)
	}
}

// Take gives out a place, whose limits have passed until they are set. It is nil when there is none left.
func (b *Book) Take() *Place {
	b.mu.Lock()
	defer b.mu.Unlock()
	var n int
	switch last := len(b.free) - 1; {
	case last >= 0:
		n, b.free = b.free[last], b.free[:last]
	case b.used < slotCount:
		n = b.used
		b.used++
	default:
		return nil
	}
	p := &Place{book: b, slot: &b.slots[n], n: n}
	var random [8]byte
	rand.Read(random[:])
	p.run = binary.NativeEndian.Uint64(random[:]) | 1
	p.store(Limits{})
	atomic.StoreUint64(&p.slot.run, p.run)
	return p
}

// A Place is where the limits of one run stand. A nil Place is none: nothing is told, and all may be called. Set and Free
// belong to one goroutine.
type Place struct {
	book *Book
	slot *slot
	n    int
	run  uint64
}

// Environment is the variable that tells a process its place.
func (p *Place) Environment() map[string]string {
	if p == nil {
		return nil
	}
	return map[string]string{Variable: Address{Descriptor: Descriptor, Offset: p.n * slotSize, Run: p.run}.String()}
}

// Set tells the limits, and wakes who waits when the process is to stop earlier than it was told before.
func (p *Place) Set(l Limits) {
	if p == nil {
		return
	}
	old := p.slot.limits().Stop
	p.store(l)
	if l.Stop.Boot < old.Boot || l.Stop.Raw < old.Raw {
		p.wake()
	}
}

// Free takes the place back: whoever still reads it finds that its limits have passed.
func (p *Place) Free() {
	if p == nil {
		return
	}
	atomic.StoreUint64(&p.slot.run, 0)
	p.wake()
	p.book.mu.Lock()
	defer p.book.mu.Unlock()
	p.book.free = append(p.book.free, p.n)
}

func (p *Place) store(l Limits) {
	atomic.StoreInt64(&p.slot.until[0], l.Until.Boot)
	atomic.StoreInt64(&p.slot.until[1], l.Until.Raw)
	atomic.StoreInt64(&p.slot.stop[0], l.Stop.Boot)
	atomic.StoreInt64(&p.slot.stop[1], l.Stop.Raw)
}

func (p *Place) wake() {
	atomic.AddUint32(&p.slot.changes, 1)
	const wake, everybody = 1, 1<<31 - 1
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.slot.changes)), wake, everybody, 0, 0, 0)
}

func (s *slot) limits() Limits {
	return Limits{
		Until: deadline.Deadline{Boot: atomic.LoadInt64(&s.until[0]), Raw: atomic.LoadInt64(&s.until[1])},
		Stop:  deadline.Deadline{Boot: atomic.LoadInt64(&s.stop[0]), Raw: atomic.LoadInt64(&s.stop[1])},
	}
}
