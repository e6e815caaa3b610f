package agentd

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

const whatHeld = "tell what was held"

// heldRun is a run that goes on without its lease, or that did. Its times are for people.
type heldRun struct {
	begun, ended time.Time
	by           string // whose promise
	end          string // how it ended
}

// holding is what goes on by promise, as the keeper would say it.
func (s *step) holding() (h keeper.Holding) {
	if s.hold.asker == nil {
		return h
	}
	m := s.hold.asker.Memory()
	h.Controllers, h.Limit = controllers(m.Set), m.Set.Limit()
	for _, n := range s.hold.names {
		if until, held := m.Deadline(n); held {
			h.Runs = append(h.Runs, keeper.Held{Ref: keeper.Ref{ID: n.Process, Token: n.Token}, Until: until})
		}
	}
	return h
}

func controllers(set promise.Set) (ids []string) {
	for _, c := range set.Controllers {
		ids = append(ids, c.ID)
	}
	return ids
}

// noteHeld notes which runs go on without their leases by now, and which do not any more.
func (s *step) noteHeld() {
	if !s.hold.asker.Asking() && len(s.hold.held) == 0 {
		return
	}
	deadlines := map[int64]deadline.Deadline{}
	for _, l := range s.etcd.renewals.Leases {
		deadlines[l.ID] = l.Deadline
	}
	var begun []string
	for _, p := range s.procs {
		if p.run == nil {
			continue
		}
		n := promise.Name{Process: p.id, Token: p.run.Token}
		lives, known := s.livesByPromise(p, n, deadlines), s.hold.held[n]
		switch {
		case lives && known == nil:
			by := contact.GroupOf(controllers(s.hold.asker.Memory().Set)).String()
			s.hold.held[n] = &heldRun{begun: s.wall, by: by}
			begun = append(begun, p.id)
		case !lives && known != nil && known.ended.IsZero():
			known.ended, known.end = s.wall, "its touch is on a live lease again"
			if p.run.Done || p.run.Cause == keeper.CauseFenced {
				known.end = "it has ended"
			}
		}
	}
	if len(begun) > 0 {
		s.o.Log.Warn("processes go on without their leases, since every controller has promised to leave them alone", zap.Int("count", len(begun)),
			zap.Stringer("processes", contact.GroupOf(begun)), zap.Strings("controllers", controllers(s.hold.asker.Memory().Set)))
	}
}

// livesByPromise reports whether a run is alive though a lease of it may have ended.
func (s *step) livesByPromise(p *proc, n promise.Name, deadlines map[int64]deadline.Deadline) bool {
	if p.run.Done || p.run.Cause == keeper.CauseFenced || len(p.run.Leases) == 0 {
		return false
	}
	now := s.etcd.renewals.Now
	until, held := s.hold.asker.Memory().Deadline(n)
	return held && !now.Passed(until) && slices.ContainsFunc(p.run.Leases, func(id int64) bool { return now.Passed(deadlines[id]) })
}

// tellHeld tells history of the holds that have ended, many in one transaction.
func (s *step) tellHeld() {
	if !s.connected || s.behind != nil {
		return
	}
	e := Write{What: whatHeld, Reason: "they went on without their leases", Txn: store.Txn{}}
	names := slices.SortedFunc(maps.Keys(s.hold.held), func(a, b promise.Name) int {
		return cmp.Or(cmp.Compare(a.Process, b.Process), cmp.Compare(a.Token, b.Token))
	})
	for _, n := range names {
		h, p := s.hold.held[n], s.procs[n.Process]
		if p == nil {
			delete(s.hold.held, n)
		}
		if p == nil || h.ended.IsZero() || len(e.Processes) == batchMost {
			continue
		}
		if ok, _ := p.store.free(s.now); !ok {
			continue // its answer brings us here again
		}
		p.store.busy = true
		e.Processes = append(e.Processes, n.Process)
		e.History = append(e.History,
			api.HistoryEntry{Process: n.Process, Token: n.Token, At: h.begun, What: "held", Why: "etcd does not answer, and " + h.by + " promised to leave it alone"},
			api.HistoryEntry{Process: n.Process, Token: n.Token, At: h.ended, What: "hold ended", Why: h.end})
	}
	if len(e.Processes) > 0 {
		s.do(e)
	}
}

// heldTold: history knows of these.
func (s *step) heldTold(processes []string) {
	maps.DeleteFunc(s.hold.held, func(n promise.Name, h *heldRun) bool {
		return !h.ended.IsZero() && slices.Contains(processes, n.Process)
	})
}
