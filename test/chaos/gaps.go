package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/test/witness"
)

// What the bound is made of, besides touch_timeout.
const (
	scan     = 500 * time.Millisecond // etcd looks for leases that have expired
	reaction = 100 * time.Millisecond // ours
	session  = 5 * time.Second        // after which another distsuperd leads
	promise  = 10 * time.Second       // how long a controller may have promised to move nothing
	bare     = time.Second            // a machine without cgroups is waited for
	elected  = 4 * time.Second        // what an election of etcd takes; leases start anew after it
	// avoided is how long a machine that was lost again and again may be left alone: who is pinned there waits for it.
	avoided = 20 * time.Second
)

// Bound is within what time a process runs again after one fault that costs this.
func Bound(costs cost, touchTimeout int) time.Duration {
	t := time.Duration(touchTimeout) * time.Second
	wait := t
	if costs&leader != 0 {
		wait = max(wait, session)
	}
	if costs&election != 0 {
		wait += t + elected + scan + early(t)
	}
	if costs&promises != 0 {
		wait = max(wait, promise*13/12)
	}
	return wait + scan + bare + reaction
}

// early is how long a lease of time t is waited for that ended under another leader of etcd than it was granted under.
func early(t time.Duration) time.Duration { return deadline.WaitTime(t) }

// CalmBound is within what time a process runs again after many faults at once have ended: promises may be in force, and
// machines avoided.
func CalmBound(touchTimeout int) time.Duration {
	t := time.Duration(touchTimeout) * time.Second
	return max(t+elected+scan+max(max(t, session)+time.Second+scan, promise*13/12, early(t)), avoided) + bare + reaction
}

// burst is one of a history.
type burst struct {
	span
	single string // its one kind of fault
	costs  cost   // of that
	class  string // its kind, as a table has it
	until  int64  // the next one begins
}

// Several is the class of bursts of more than one fault.
const Several = "several at once"

func bursts(events []Event) (out []burst) {
	for _, e := range events {
		n := len(out)
		if n > 0 {
			out[n-1].until = e.At
		}
		switch {
		case e.What == BurstBegins:
			b := burst{span: span{e.At, e.At}, single: e.Text, class: Several, until: e.At}
			if k, ok := kinds[e.Text]; ok {
				b.class, b.costs = e.Text, k.costs
				if !votes(e.Subject) {
					b.costs &^= leader | election // it has neither
				}
			}
			out = append(out, b)
		case e.What == BurstEnds && n > 0:
			out[n-1].to = e.At
		case e.What == FaultBegins && n > 0:
			if name, _, _ := strings.Cut(e.Text, " "); kinds[name].family == outages {
				out[n-1].class = name // whatever else there is
			}
		}
	}
	return out
}

// gaps finds the times without any copy of a process in which there should be one, and judges those that have a bound.
func (v *Verdict) gaps(h History, id string, copies []witness.Copy) {
	touch := h.TouchTimeouts[id]
	if touch == 0 {
		return
	}
	all := bursts(h.Events)
	for _, wanted := range spans(h.Events, id, Wanted) {
		at := wanted.from
		for _, c := range copies {
			if c.Part != witness.MainPart || c.Last < at || c.Start > wanted.to {
				continue
			}
			v.gap(all, id, touch, span{at, c.Start}, false)
			at = max(at, c.Last)
		}
		v.gap(all, id, touch, span{at, wanted.to}, true)
	}
}

// gap judges one. One that is open lasts at least until then.
func (v *Verdict) gap(all []burst, id string, touch int, g span, open bool) {
	from, bound := g.from, CalmBound(touch)
	for _, b := range all {
		switch {
		case b.from > g.to || b.until < g.from: // another time
		case b.single != "" && kinds[b.single].survived && g.from >= b.from:
			bound = Bound(b.costs, touch)
		case g.to < b.to:
			return // it ran again before the faults ended
		default:
			from = max(from, b.to)
		}
	}
	took := time.Duration(g.to - from)
	if took <= 0 || open && took < bound { // one that is open and short tells nothing
		return
	}
	v.WorstGap = max(v.WorstGap, took)
	of := v.in(all, g.from)
	of.WorstGap = max(of.WorstGap, took)
	if took > bound {
		text := fmt.Sprintf("%s did not run for %v; the bound is %v", id, took.Round(time.Millisecond), bound.Round(time.Millisecond))
		if open {
			text += "; it never ran again"
		}
		v.Late = append(v.Late, text)
	}
}
