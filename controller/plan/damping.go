package plan

import (
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// A machine that is overloaded, or whose network comes and goes, is lost, returns, is the emptiest of all, gets everything,
// and is lost again, with more processes each time. So a machine that was lost is avoided for a while after its return, and
// the longer the more often it was lost without a long calm in between. It still gets what no other can take, but from the second
// loss in a row on bit by bit: at first half of what it carried when it was lost, then more and more, and everything within seconds.
// Two machines that throw everything at each other come to rest in this way, if it can be carried at all, since the other one is back
// by then. Nothing stays down for longer: damping is a guess, and a process that could run is worth more.
const (
	lossWait = 10 * time.Second // after the first loss; then twice as long each time
	lossMost = 10 * time.Minute
	lossCalm = 10 * time.Minute // alive for so long, earlier losses count no more
	// fillTime is how long a machine waits after its return at most until it gets everything.
	fillTime = 20 * time.Second
	// leastBack is what a machine gets at once in any case.
	leastBack = 4
)

// Loss is to be written of a machine that was lost.
type Loss struct {
	Machine string
	Rev     int64 // of what is written of it now, 0 for nothing
	Losses  api.Losses
	Why     string
}

// TakeLosses returns what is to be written of the machines that were lost and of which nobody has written it.
func (v *View) TakeLosses(wall time.Time) []Loss {
	var out []Loss
	for _, name := range sortedKeys(v.lost) {
		m := v.Machines[name]
		if m == nil {
			continue
		}
		l := Loss{Machine: name, Losses: api.Losses{Count: 1, Last: wall}}
		if m.Losses != nil {
			l.Losses.Rest = m.Losses.Value.Rest
			if l.Rev = m.Losses.Rev; !m.calmBefore {
				l.Losses.Count = m.Losses.Value.Count + 1
			}
		}
		l.Losses.Carried = m.total
		wait := min(lossWait<<min(l.Losses.Count-1, 10), lossMost)
		l.Losses.Wait = int(wait / time.Second)
		l.Why = fmt.Sprintf("it is avoided for %v after its return", wait)
		if l.Losses.Count > 1 {
			l.Why = fmt.Sprintf("%d times in a row; %s", l.Losses.Count, l.Why)
		}
		out = append(out, l)
	}
	clear(v.lost)
	return out
}

// lostTogether is how far apart the losses of machines are that have one cause: the leases of all of them expire when a store that
// stood still goes on.
const lostTogether = time.Second

// LostSince counts the machines that were lost after an instant, without having said that they leave, and are missing. lost counts
// with them those that are back, but were lost together with the last of these.
func (v *View) LostSince(at clock.Instant) (lost, missing int) {
	var last clock.Instant
	counts := func(m *MachineFacts) bool {
		return m.Info != nil && !m.Info.Value.Leaving && m.lostAt != 0 && at.Before(m.lostAt)
	}
	for _, m := range v.Machines {
		if counts(m) && m.Alive == nil {
			missing, last = missing+1, max(last, m.lostAt)
		}
	}
	lost = missing
	for _, m := range v.Machines {
		if missing > 0 && counts(m) && m.Alive != nil && last.Sub(m.lostAt) <= lostTogether {
			lost++
		}
	}
	return lost, missing
}

// lately is how many losses in a row count against a machine that is alive now; 0 once it has been back for as long as it was to
// be avoided. A leader that has only just seen the machine, and finds losses of long ago, counts none.
func (m *MachineFacts) lately(now clock.Instant, wall time.Time) int {
	if m.Losses == nil || m.AliveSince == 0 {
		return 0
	}
	l := m.Losses.Value
	wait := time.Duration(l.Wait) * time.Second
	if !now.Before(m.AliveSince.Add(wait)) || wall.Sub(l.Last) > wait+lossCalm {
		return 0
	}
	return l.Count
}

// most is how many processes a machine may have by now that was lost more than once lately; -1 is any number.
func (m *MachineFacts) most(now clock.Instant, wall time.Time) int {
	if m.lately(now, wall) < 2 {
		return -1
	}
	l := m.Losses.Value
	fill := min(time.Duration(l.Wait)*time.Second, fillTime)
	if !now.Before(m.AliveSince.Add(fill)) {
		return -1
	}
	half, most := fill/2, max(l.Carried/2, leastBack)
	return most + int(int64(most)*int64(max(0, now.Sub(m.AliveSince)-half))/int64(half))
}
