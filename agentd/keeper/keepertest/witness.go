package keepertest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/distsuper/distsuper/pkg/clock"
)

// Copy is one copy of a process that ran.
type Copy struct {
	ID       string
	Token    int64
	Machine  string
	Instance string
	PID      int
	Started  clock.Instant
	Ended    clock.Instant // clock.Never while it runs
}

// Witness sees every copy of every fake that it is given to. Its instants are those of the fakes' clocks;
// overlaps are told by the order of events, so clocks may differ.
type Witness struct {
	mu       sync.Mutex // guards everything below
	copies   []Copy
	overlaps []string
}

// NewWitness makes one for several fakes.
func NewWitness() *Witness { return &Witness{} }

// Overlaps tells of each start of a copy while another one of the process was alive.
func (w *Witness) Overlaps() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.overlaps)
}

// Copies lists the copies of a process in the order of their starts; "" is every process.
func (w *Witness) Copies(id string) []Copy {
	w.mu.Lock()
	defer w.mu.Unlock()
	var copies []Copy
	for _, c := range w.copies {
		if id == "" || c.ID == id {
			copies = append(copies, c)
		}
	}
	return copies
}

// Alive lists the copies of a process that run now; "" is every process.
func (w *Witness) Alive(id string) []Copy {
	return slices.DeleteFunc(w.Copies(id), func(c Copy) bool { return c.Ended != clock.Never })
}

func (w *Witness) started(c Copy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.copies {
		if o.ID == c.ID && o.Ended == clock.Never {
			w.overlaps = append(w.overlaps, fmt.Sprintf("%s started on %s (token %d, at %d) while its copy on %s (token %d) was alive",
				c.ID, c.Machine, c.Token, c.Started, o.Machine, o.Token))
		}
	}
	w.copies = append(w.copies, c)
}

func (w *Witness) ended(c Copy, at clock.Instant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.copies {
		o := &w.copies[i]
		if o.PID == c.PID && o.Instance == c.Instance && o.Machine == c.Machine && o.Ended == clock.Never {
			o.Ended = at
		}
	}
}
