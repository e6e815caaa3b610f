package guardian

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/deadline"
)

// pageGroups is how many process groups fit the page. The guardian needs them only where it has no
// cgroups; beyond that many it knows processes by their environment alone.
const pageGroups = 16000

// page is the memory that the keeper shares with its guardian: the earliest deadline that is not
// enforced yet, and the process groups that live.
type page struct {
	fd   int
	data []byte
	body *pageBody
}

type pageBody struct {
	boot   int64
	raw    int64
	groups Groups
}

// Groups are the process groups that live, 0 in a free slot.
type Groups [pageGroups]int32

func newPage() (*page, error) {
	fd, err := unix.MemfdCreate("distsuper-keeper", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make the memory shared with the guardian: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(unsafe.Sizeof(pageBody{}))); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("size the memory shared with the guardian: %w", err)
	}
	p, err := mapPage(fd)
	if err != nil {
		return nil, err
	}
	p.setDeadline(deadline.None)
	return p, nil
}

// mapPage takes ownership of fd.
func mapPage(fd int) (*page, error) {
	data, err := unix.Mmap(fd, 0, int(unsafe.Sizeof(pageBody{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("map the memory shared with the guardian: %w", err)
	}
	return &page{fd: fd, data: data, body: (*pageBody)(unsafe.Pointer(&data[0]))}, nil
}

func (p *page) deadline() deadline.Deadline {
	return deadline.Deadline{Boot: atomic.LoadInt64(&p.body.boot), Raw: atomic.LoadInt64(&p.body.raw)}
}

// setDeadline reports whether the deadline came nearer; then the guardian must be woken.
func (p *page) setDeadline(d deadline.Deadline) (nearer bool) {
	old := p.deadline()
	atomic.StoreInt64(&p.body.boot, d.Boot)
	atomic.StoreInt64(&p.body.raw, d.Raw)
	return d.Boot < old.Boot || d.Raw < old.Raw
}

// Add notes a living process group and returns its slot, -1 when none is free.
func (g *Groups) Add(group int) int {
	for i := range g {
		if atomic.CompareAndSwapInt32(&g[i], 0, int32(group)) {
			return i
		}
	}
	return -1
}

// Drop frees a slot; -1 is none.
func (g *Groups) Drop(slot int) {
	if slot >= 0 {
		atomic.StoreInt32(&g[slot], 0)
	}
}

// livingGroups returns the process groups that were alive when the keeper was.
func (p *page) livingGroups() map[int]bool {
	groups := map[int]bool{}
	for i := range p.body.groups {
		if g := atomic.LoadInt32(&p.body.groups[i]); g != 0 {
			groups[int(g)] = true
		}
	}
	return groups
}

func (p *page) close() {
	unix.Munmap(p.data)
	unix.Close(p.fd)
}
