package promise

import (
	"slices"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Options of an Asker.
type Options struct {
	Machine     string
	Uncontained bool   // see Ask
	Farewell    bool   // see Ask
	Memory      Memory // that the agent before it left with the keeper
}

// Asker decides for one machine when the controllers are read, and when they are asked. It is used by one goroutine at a time.
type Asker struct {
	o      Options
	memory Memory
	leases []Lease
	names  []Name // sorted

	number uint64  // of the last ask
	asked  []Asked // that may still be answered
	next   clock.Instant
	asking bool

	reading, again bool // a read of the set is under way; it is to be read once more after that
	readNext       clock.Instant
	failures       map[string]string // why a controller of the set did not grant what it was asked last
}

// NewAsker makes an Asker that goes on from what it finds.
func NewAsker(o Options) *Asker {
	a := &Asker{o: o, failures: map[string]string{}}
	if o.Memory.Version == Version {
		a.memory = o.Memory
	} else {
		a.memory.Version = Version
	}
	for _, asked := range a.memory.Asks {
		a.number = max(a.number, asked.Number)
	}
	return a
}

// Memory is what it remembers.
func (a *Asker) Memory() Memory { return a.memory }

// Asking reports whether the controllers are being asked.
func (a *Asker) Asking() bool { return a.asking }

// Leaving reports whether a controller of the set is about to leave for a while, and gives long promises.
func (a *Asker) Leaving() bool {
	return slices.ContainsFunc(a.memory.Set.Controllers, func(c Controller) bool { return c.Leaving != 0 })
}

// Failure says why a controller did not promise anything when it was asked last, "" when it did.
func (a *Asker) Failure(controller string) string { return a.failures[controller] }

// Next is when Step wants a Tick.
func (a *Asker) Next() clock.Instant {
	next := clock.Never
	if !a.reading {
		next = a.readNext
	}
	if len(a.names) == 0 || len(a.memory.Set.Controllers) == 0 {
		return next
	}
	return min(next, max(a.due(), a.next))
}

// due is when a lease has gone without an answer for so long that the controllers are asked.
func (a *Asker) due() clock.Instant {
	if len(a.leases) == 0 || a.farewell() {
		return 0
	}
	due := clock.Never
	for _, l := range a.leases {
		due = min(due, l.Answered.Boot.Add(FirstAsk(l.TTL)))
	}
	return due
}

// farewell reports whether a controller that is about to leave has yet to give its long promise to somebody.
func (a *Asker) farewell() bool {
	for _, c := range a.memory.Set.Controllers {
		if a.o.Farewell && c.Leaving != 0 && slices.ContainsFunc(a.names, func(n Name) bool { return !a.memory.longFrom(c, n) }) {
			return true
		}
	}
	return false
}

// longFrom reports whether a controller that leaves has given a run its long promise.
func (m Memory) longFrom(c Controller, n Name) bool {
	return slices.ContainsFunc(m.Asks, func(a Asked) bool {
		i := a.grant(c.ID)
		return i >= 0 && a.Granted[i].long() && a.Granted[i].Term >= c.Leaving && a.names(n)
	})
}

// Step takes one event in and returns what is to be done because of it.
func (a *Asker) Step(now deadline.Moment, e Event) []Effect {
	s := &step{Asker: a, now: now}
	s.take(e)
	s.read()
	s.ask()
	return s.effects
}

type step struct {
	*Asker
	now     deadline.Moment
	effects []Effect
}

func (s *step) do(e Effect) { s.effects = append(s.effects, e) }

func (s *step) take(e Event) {
	switch e := e.(type) {
	case Leases:
		s.leases = slices.Clone(e.Leases)
	case Alive:
		s.alive(e.Names)
	case SetChanged:
		s.readNext, s.again = 0, s.reading
	case SetRead:
		s.setRead(e.Set)
	case SetFailed:
		s.reading, s.readNext = false, s.now.Boot.Add(setRetry)
	case Answered:
		s.answered(e.Answer)
	case Failed:
		s.failed(e.Controller, e.Number, e.Err.Error())
	}
}

// alive takes in what is to be held. What is not among it is forgotten, also in what may yet be answered.
func (s *step) alive(names []Name) {
	names = slices.Clone(names)
	slices.SortFunc(names, compare)
	names = slices.Compact(names)
	gone := !includes(names, s.names)
	s.names = names
	if !gone {
		return
	}
	for i := range s.asked {
		s.asked[i].Names = slices.DeleteFunc(slices.Clone(s.asked[i].Names), func(n Name) bool { return !includes(names, []Name{n}) })
	}
	if before := s.memory; len(before.Asks) > 0 {
		s.memory = before.without(names)
		s.do(Remember{s.memory})
	}
}

// setRead takes a set in. Reads follow one another, so that of a lower revision is of a store that went back and was accepted.
func (s *step) setRead(set Set) {
	s.reading, s.readNext = false, s.now.Boot.Add(SetEvery)
	if s.again {
		s.again, s.readNext = false, s.now.Boot
	}
	set.Controllers = slices.Clone(set.Controllers)
	if !slices.Equal(set.Controllers, s.memory.Set.Controllers) {
		s.next = 0 // who is new has promised nothing yet
	}
	s.memory.Set = set
	s.memory = s.memory.pruned(s.now)
	s.do(Remember{s.memory})
}

// read reads the set when that is due.
func (s *step) read() {
	if s.reading || s.now.Boot < s.readNext {
		return
	}
	s.reading = true
	s.do(ReadSet{})
}

// ask asks everybody when that is due.
func (s *step) ask() {
	set := s.memory.Set
	s.asking = len(s.names) > 0 && len(set.Controllers) > 0 && s.due() <= s.now.Boot
	if !s.asking || s.now.Boot < s.next {
		return
	}
	s.number++
	s.next = s.now.Boot.Add(AskEvery)
	s.asked = slices.DeleteFunc(s.asked, func(a Asked) bool { return s.now.Passed(deadline.After(a.Sent, Length)) })
	s.asked = append(s.asked, Asked{Number: s.number, Sent: s.now, Names: s.names})
	for _, c := range set.Controllers {
		s.do(Send{To: c, Ask: Ask{Version: Version, Controller: c.ID, Machine: s.o.Machine, Number: s.number, Set: set.Revision,
			Names: s.names, Uncontained: s.o.Uncontained, Farewell: s.o.Farewell}})
	}
}

// answered takes an answer in. Only a promise changes what is remembered; what was promised before stays.
func (s *step) answered(a Answer) {
	i := slices.IndexFunc(s.asked, func(asked Asked) bool { return asked.Number == a.Number })
	known := slices.ContainsFunc(s.memory.Set.Controllers, func(c Controller) bool { return c.ID == a.Controller })
	switch {
	case i < 0 || !known:
		return
	case a.Version != Version:
		s.failed(a.Controller, a.Number, "it speaks another version")
		return
	case a.Promised() <= 0:
		s.failed(a.Controller, a.Number, a.Reason)
		return
	}
	delete(s.failures, a.Controller)
	if len(s.asked[i].Names) == 0 {
		return
	}
	s.memory = s.memory.granted(s.now, s.asked[i], Grant{a.Controller, a.Millis, a.Term})
	s.do(Remember{s.memory})
}

// failed notes why there is no promise. Who refuses may know of controllers that the set lacks.
func (s *step) failed(controller string, number uint64, why string) {
	if number == s.number {
		s.failures[controller] = why
		s.readNext = min(s.readNext, s.now.Boot.Add(setRetry))
	}
}
