package engine

import (
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// defaultLinger is Options.Linger unless it is set.
const defaultLinger = 2 * time.Second

// ending is a shutdown under way.
type ending struct {
	over   clock.Instant // when the last run was over; Never before
	linger time.Duration
	end    bool
}

func (e *ending) wake() clock.Instant { return e.over.Add(e.linger) }

// shutdown begins to stop everything. Asking again changes nothing.
func (l *loop) shutdown(why string) {
	if l.ending != nil {
		return
	}
	l.ending = &ending{over: clock.Never, linger: l.engine.linger}
	l.log.info("The keeper stops all processes and ends", zap.String("reason", why), zap.Int("runs", len(l.runs)))
}

// windDown goes on with a shutdown: group by group, the highest priority number first, as supervisor does.
func (l *loop) windDown() {
	if l.ending == nil {
		return
	}
	for _, r := range l.runs {
		if r.Life.Copy != fsm.Alive { // what is down stays down
			l.feed(r, fsm.Event{Kind: fsm.Stop})
		}
	}
	if group := l.lastGroup(); len(group) > 0 {
		l.ending.over = clock.Never
		for _, r := range group {
			l.feed(r, fsm.Event{Kind: fsm.Stop})
		}
		return
	}
	if l.ending.over == clock.Never {
		l.ending.over = l.now.Boot
	}
	l.ending.end = len(l.runs) == 0 || l.ending.wake() <= l.now.Boot
}

// lastGroup returns the runs of the group that is to be stopped first, those that are not done, in
// the order in which they are stopped.
func (l *loop) lastGroup() []*run {
	var last *run
	for _, r := range l.runs {
		if !r.Life.Done() && (last == nil || byPriority(r, last) > 0) {
			last = r
		}
	}
	if last == nil {
		return nil
	}
	var group []*run
	for i := len(l.runs) - 1; i >= 0; i-- {
		r := l.runs[i]
		if !r.Life.Done() && r.Request.Process.Group == last.Request.Process.Group {
			group = append(group, r)
		}
	}
	return group
}

func (l *loop) ended() bool { return l.ending != nil && l.ending.end }

// end frees everything. Nothing that the keeper started is alive afterwards but its guardian, which ends
// with the keeper.
func (l *loop) end() {
	l.makes.KillAll()
	for _, r := range l.runs {
		r.cage.Close()
	}
	l.makes.Close()
	l.reap()
	l.poll.close()
	l.guard.Close()
	l.null.Close()
	l.engine.file.Close()
	l.log.info("The keeper ends")
}
