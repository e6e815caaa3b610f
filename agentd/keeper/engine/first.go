package engine

import (
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
)

// FirstWait is how long a process in Options.First that does not come holds up those behind it.
const FirstWait = 5 * time.Second

// firstLine puts the first spawns of expected processes in order: whatever order they are asked for in, each
// goes when all before it have gone.
type firstLine struct {
	place map[string]int // of those that have not gone yet
	order []string
	next  int          // the place of the first that has not gone
	came  map[int]*run // those that wait
	until clock.Instant
}

func newFirstLine(order []string, now clock.Instant) *firstLine {
	f := &firstLine{place: map[string]int{}, order: order, came: map[int]*run{}, until: clock.Never}
	for i, id := range order {
		f.place[id] = i
	}
	if len(order) > 0 {
		f.until = now.Add(FirstWait)
	}
	return f
}

// come takes a run that wants to be spawned now, and returns those that may be now, in their order.
func (f *firstLine) come(r *run, now clock.Instant) []*run {
	place, expected := f.place[r.id]
	if !expected {
		return []*run{r}
	}
	f.came[place], f.until = r, now.Add(FirstWait)
	return f.move()
}

// pass lets a process go that will not be spawned after all.
func (f *firstLine) pass(id string) []*run {
	if place, expected := f.place[id]; expected {
		delete(f.place, id)
		delete(f.came, place)
	}
	return f.move()
}

func (f *firstLine) move() (gone []*run) {
	for f.next < len(f.order) {
		id := f.order[f.next]
		if _, waits := f.place[id]; waits {
			r := f.came[f.next]
			if r == nil {
				return gone
			}
			gone = append(gone, r)
			delete(f.place, id)
			delete(f.came, f.next)
		}
		f.next++
	}
	f.until = clock.Never
	return gone
}

// dissolve lets all go: somebody does not come.
func (f *firstLine) dissolve() (gone []*run) {
	for ; f.next < len(f.order); f.next++ {
		if r := f.came[f.next]; r != nil {
			gone = append(gone, r)
		}
	}
	f.place, f.came, f.until = nil, nil, clock.Never
	return gone
}
