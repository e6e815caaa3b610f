package page

import (
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// HandedBook is a Book on its way to the next binary of its process, which processes go on reading. The descriptors stay open.
type HandedBook struct {
	WriteFD int `json:"write_fd"`
	ReadFD  int `json:"read_fd"`
	Used    int `json:"used"`
}

// HandedPlace is a Place on that way.
type HandedPlace struct {
	N   int    `json:"n"`
	Run uint64 `json:"run,string"`
}

// HandOver describes the book.
func (b *Book) HandOver() HandedBook {
	b.mu.Lock()
	defer b.mu.Unlock()
	return HandedBook{b.write, b.read, b.used}
}

// HandOver describes the place; nil for none.
func (p *Place) HandOver() *HandedPlace {
	if p == nil {
		return nil
	}
	return &HandedPlace{p.n, p.run}
}

// ResumeBook goes on with a book and its places, in their order: what stands there stays. All other places are free.
func ResumeBook(h HandedBook, handed []*HandedPlace) (*Book, []*Place, error) {
	const size = slotCount * slotSize
	data, err := unix.Mmap(h.WriteFD, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("take over the memory that processes read their deadlines from: %w", err)
	}
	b := &Book{write: h.WriteFD, read: h.ReadFD, data: data, slots: (*[slotCount]slot)(unsafe.Pointer(&data[0])), used: min(max(h.Used, 1), slotCount)}
	places := make([]*Place, len(handed))
	for i, one := range handed {
		if one == nil {
			continue
		}
		if one.N < 1 || one.N >= b.used {
			return nil, nil, fmt.Errorf("take over the memory that processes read their deadlines from: it has no place %d", one.N)
		}
		places[i] = &Place{book: b, slot: &b.slots[one.N], n: one.N, run: one.Run}
	}
	for n := 1; n < b.used; n++ {
		if !slices.ContainsFunc(handed, func(p *HandedPlace) bool { return p != nil && p.N == n }) {
			atomic.StoreUint64(&b.slots[n].run, 0)
			b.free = append(b.free, n)
		}
	}
	return b, places, nil
}
