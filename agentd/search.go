package agentd

import (
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// A search that found something alive, or could not be made, is made again after searchFirst, then less and less often.
const (
	searchFirst = 5 * time.Second
	searchMost  = 5 * time.Minute
)

// search is how the search for what earlier keepers left on this host goes.
type search struct {
	busy  bool
	again clock.Instant
	pause time.Duration
	told  string // why the last one proved nothing
}

// searchHost has the host looked through for one earlier keeper of which something stands in the store. The name is ours by then, so
// its agent is not alive.
func (s *step) searchHost() {
	if s.search.busy || s.now < s.search.again || len(s.earlier) == 0 {
		return
	}
	standing := s.standing()
	for _, instance := range slices.Sorted(maps.Keys(s.earlier)) {
		if e := s.earlier[instance]; !standing[instance] {
			delete(s.earlier, instance)
		} else if s.searchable(e) {
			s.search.busy = true
			s.do(SearchHost{instance})
			return
		}
	}
}

// searchable reports whether a search can prove anything: what the keeper left is on this host, and in a cgroup that names it. Without
// cgroups a process that has changed its environment would not be found.
func (s *step) searchable(e api.EarlierKeeper) bool {
	return s.o.Host.SameBoot(e.Identity) && e.Containment != "" && e.Containment != api.Subreaper
}

// hostSearched takes in what a search found: with no error nothing of that keeper is alive, and it never will be.
func (s *step) hostSearched(ev HostSearched) {
	s.search.busy = false
	if ev.Err != nil {
		s.search.pause = min(max(2*s.search.pause, searchFirst), searchMost)
		s.search.again = s.now.Add(s.search.pause)
		s.wake.add(s.search.again, "")
		if text := ev.Err.Error(); text != s.search.told {
			s.search.told = text
			s.o.Log.Warn("what an earlier keeper of this host ran may be alive, and is not started again",
				zap.String("machine", s.o.Machine), zap.String("instance", ev.Instance), zap.Error(ev.Err))
		}
		return
	}
	s.search = search{}
	s.proved[ev.Instance] = api.ProofSearched
	delete(s.earlier, ev.Instance)
	s.own.encoded = nil
	s.o.Log.Info("the whole host was searched: nothing is alive of what an earlier keeper of this boot ran",
		zap.String("machine", s.o.Machine), zap.String("instance", ev.Instance))
}
