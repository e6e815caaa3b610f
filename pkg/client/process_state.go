package client

import "github.com/distsuper/distsuper/pkg/api"

// processState is what decides about a request for one process. A field is nil where there is none.
type processState struct {
	intent *api.Intent
	// damaged: there is an intent, and it cannot be read. Whatever is asked for is written in its place.
	damaged bool
	owner   *api.Owner
	// status is the one under the owner's machine and token.
	status *api.Status
}

// restarts is the highest count that anybody has seen of the process, so that a new intent never looks like an
// old one.
func (s processState) restarts() int64 {
	var n int64
	if s.intent != nil {
		n = s.intent.Restarts
	}
	if s.owner != nil {
		n = max(n, s.owner.Restarts)
	}
	return n
}

// wanted reports whether it is to run.
func (s processState) wanted() bool { return s.intent != nil && s.intent.Want == api.WantRun }

// pending reports whether the last request for another run has no answer yet.
func (s processState) pending() bool {
	return s.wanted() && (s.owner == nil || s.owner.Restarts != s.intent.Restarts)
}

// finished reports whether its run ended by itself and is not placed again, as the leader noted or is about to.
func (s processState) finished() bool {
	return s.owner != nil && (s.owner.Finished != nil || s.status != nil && s.status.Finished())
}

// next is the intent with another request; what was asked of moves stays.
func (s processState) next(want api.Want, restarts int64) api.Intent {
	i := api.Intent{Want: want, Restarts: restarts}
	switch {
	case s.intent != nil:
		i.Moves, i.To, i.Rest = s.intent.Moves, s.intent.To, s.intent.Rest
	case s.owner != nil:
		i.Moves = s.owner.Moves
	}
	return i
}

// start returns the intent that makes it run, and whether that differs from the present one.
func (s processState) start() (api.Intent, bool) {
	if s.wanted() && (s.pending() || !s.finished()) {
		return api.Intent{}, false
	}
	return s.next(api.WantRun, s.restarts()+1), true
}

// stop returns the intent that stops it.
func (s processState) stop() (api.Intent, bool) {
	if !s.wanted() && !s.damaged {
		return api.Intent{}, false
	}
	return s.next(api.WantStop, s.restarts()), true
}

// restart returns the intent that makes another run of it; of what is stopped, a first one.
func (s processState) restart() (api.Intent, bool) {
	if s.pending() {
		return api.Intent{}, false
	}
	return s.next(api.WantRun, s.restarts()+1), true
}

// move returns the intent that moves it; to "" is anywhere else. Every move is a new request.
func (s processState) move(to string) (api.Intent, bool) {
	i := s.next(api.WantStop, s.restarts())
	if s.intent != nil {
		i.Want = s.intent.Want
	}
	i.Moves, i.To = i.Moves+1, to
	return i, true
}
