package agentd

import (
	"container/heap"

	"github.com/distsuper/distsuper/pkg/clock"
)

// wakeup is a moment at which a process is to be looked at again; the process "" is the machine.
type wakeup struct {
	at clock.Instant
	id string
}

// wakeups are in the order of their moments. One too many does no harm: it is only a look.
type wakeups []wakeup

func (w wakeups) Len() int { return len(w) }
func (w wakeups) Less(i, j int) bool {
	return w[i].at < w[j].at || w[i].at == w[j].at && w[i].id < w[j].id
}
func (w wakeups) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *wakeups) Push(x any)   { *w = append(*w, x.(wakeup)) }
func (w *wakeups) Pop() any {
	old := *w
	last := old[len(old)-1]
	*w = old[:len(old)-1]
	return last
}

func (w *wakeups) add(at clock.Instant, id string) {
	if at != clock.Never {
		heap.Push(w, wakeup{at, id})
	}
}

// next is the earliest moment, clock.Never when there is none.
func (w wakeups) next() clock.Instant {
	if len(w) == 0 {
		return clock.Never
	}
	return w[0].at
}

// due takes what has come.
func (w *wakeups) due(now clock.Instant) []string {
	var ids []string
	for len(*w) > 0 && (*w)[0].at <= now {
		ids = append(ids, heap.Pop(w).(wakeup).id)
	}
	return ids
}
