package agentd

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
)

const (
	// lossTime is how long a silence of etcd lasts at least that is logged.
	lossTime = time.Second
	// newsTime is how long it is gathered what is told of many processes in one line.
	newsTime = 300 * time.Millisecond
)

// Renewals is what the lease holder knows.
type Renewals struct {
	lease.Contact
	Now    deadline.Moment
	Leases []keeper.Lease // with the deadlines that etcd's answers gave them
	Paused bool           // nothing is asked of etcd
}

// etcd is what the agent knows of etcd's answers, and what of it is logged.
type etcd struct {
	renewals Renewals
	lost     clock.Instant // the last answer before a silence that was logged; 0 for none
	// Processes of which it is to be told, by what became of them.
	signalled, fenced, again, over []string
	news                           bool          // there are any
	tell                           clock.Instant // when; 0 while that is open
}

// Heard takes in what the lease holder knows. It comes before a Step at the same moment.
func (c *Core) Heard(r Renewals) { c.etcd.renewals = r }

// state is what is known about etcd.
func (e *etcd) state() contact.State {
	switch {
	case e.renewals.Paused:
		return contact.StatePaused
	case e.renewals.Silent:
		return contact.StateSilent
	}
	return contact.StateAnswers
}

// next is when something is to be logged.
func (e *etcd) next() clock.Instant {
	next := clock.Never
	if e.renewals.Silent && e.lost == 0 {
		next = e.renewals.Answered.Add(lossTime)
	}
	if e.tell != 0 {
		next = min(next, e.tell)
	}
	return next
}

// logEtcd logs that etcd fell silent, that it is back, and what became of processes because of it.
func (s *step) logEtcd() {
	e := &s.etcd
	switch r := &e.renewals; {
	case s.o.Mode == mode.Alone:
		return
	case r.Silent && e.lost == 0 && s.now.Sub(r.Answered) >= lossTime:
		e.lost = r.Answered
		c := s.contact()
		s.o.Log.Warn("etcd is silent", zap.String("for", contact.Span(c.Since())), zap.Strings("processes", c.Lines()))
	case !r.Silent && e.lost != 0:
		c := s.contact()
		log := s.o.Log.Info
		if c.Processes.Fenced.Count+c.Processes.Ending.Count > 0 {
			log = s.o.Log.Warn
		}
		log("etcd answers again", zap.String("after", contact.Span(r.Answered.Sub(e.lost))), zap.Strings("processes", c.Lines()))
		e.lost = 0
	}
	s.logProcesses()
}

// contact is how the machine stands with etcd.
func (s *step) contact() contact.Contact {
	all := keeper.Snapshot{Leases: s.etcd.renewals.Leases, Holding: s.holding()}
	for _, p := range s.procs {
		if p.run != nil {
			all.Runs = append(all.Runs, *p.run)
		}
	}
	r := s.etcd.renewals
	return all.Contact(r.Now, s.wall).By(s.etcd.state(), s.now.Sub(r.Answered))
}

// fates notes what is to be told of a run that was another one before: nil is none.
func (c *Core) fates(was *keeper.Run, now keeper.Run) {
	e, before := &c.etcd, contact.Bounded
	if was != nil {
		before = was.Fate()
	}
	fenced := before == contact.Ending || before == contact.Fenced
	switch after := now.Fate(); {
	case after == before:
		return
	case after == contact.Ending:
		e.signalled = append(e.signalled, now.ID)
	case after == contact.Fenced:
		e.fenced = append(e.fenced, now.ID)
	case fenced && after == contact.Over:
		e.over = append(e.over, now.ID)
	case fenced:
		e.again = append(e.again, now.ID)
	default:
		return
	}
	e.news = true
}

// logProcesses logs what became of processes, many in a line.
func (s *step) logProcesses() {
	e := &s.etcd
	switch {
	case !e.news:
		return
	case e.tell == 0:
		e.tell = s.now.Add(newsTime)
		return
	case s.now < e.tell:
		return
	}
	about := contact.Contact{}.By(e.state(), s.now.Sub(e.renewals.Answered)).Etcd()
	tell := func(log func(string, ...zap.Field), text string, names []string) {
		if len(names) > 0 {
			log(text, zap.Int("count", len(names)), zap.Stringer("processes", contact.GroupOf(names)), zap.String("etcd", about))
		}
	}
	signalled := slices.DeleteFunc(e.signalled, func(id string) bool { return slices.Contains(e.fenced, id) })
	tell(s.o.Log.Warn, "processes are being stopped, since no renewal came from etcd", signalled)
	tell(s.o.Log.Warn, "processes were stopped, since no renewal came from etcd", e.fenced)
	tell(s.o.Log.Info, "processes that were stopped run again here", e.again)
	tell(s.o.Log.Info, "processes that were stopped have ended here for good", e.over)
	e.signalled, e.fenced, e.again, e.over, e.news, e.tell = nil, nil, nil, nil, false, 0
}
