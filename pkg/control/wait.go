package control

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

const (
	// How long something may be stalled before waiting ends: a machine or a controller may just be coming.
	stallLimit      = 5 * time.Second
	controllerLimit = 20 * time.Second
	// few is how many processes are reported one by one; of more there is a summary.
	few = 5
	// leftEvery is the shortest time between two summaries.
	leftEvery = 2 * time.Second
)

// checked is a process that was looked at.
type checked struct {
	name  string
	after *client.Process // nil when it is not there
	check Check
}

// wait returns when every process has reached the goal or cannot reach it, and reports each as soon as that is known. When
// the time is up, those that are left are reported as failed. It begins with what was seen of them, nil for nothing, and
// returns what was seen last.
func (c *Control) wait(ctx context.Context, l limit, seen *client.Snapshot, names []string, goal Goal, report func(checked)) (*client.Snapshot, error) {
	if len(names) == 0 {
		return seen, nil
	}
	bound, cancel := l.bound(ctx)
	defer cancel()
	w := &waiting{goal: goal, slowAfter: c.o.SlowAfter, left: slices.Clone(names), stalled: map[string]time.Time{}, slow: map[string]slowness{}}
	_, err := c.await(bound, seen, func(s *client.Snapshot, now time.Time) (bool, error) {
		seen = s
		over, news := w.look(s, now)
		for _, e := range over {
			report(e)
		}
		for _, n := range news {
			c.o.Progress(n)
		}
		return len(w.left) == 0, nil
	})
	if ctx.Err() != nil {
		return seen, ctx.Err()
	}
	if err != nil {
		return seen, err
	}
	for _, e := range w.giveUp(l.Timeout) {
		report(e)
	}
	return seen, nil
}

// waiting is which processes are left, and how long each has been as it is. It has no clock of its own.
type waiting struct {
	goal      Goal
	slowAfter time.Duration

	left     []string
	stalled  map[string]time.Time // since when
	slow     map[string]slowness
	summed   time.Time // when the last summary was
	snapshot *client.Snapshot
}

// slowness is a state that lasts: since when, and whether it was reported.
type slowness struct {
	text     string
	since    time.Time
	reported bool
}

// look checks the processes that are left.
func (w *waiting) look(s *client.Snapshot, now time.Time) (over []checked, news []Progress) {
	w.snapshot = s
	var pending []checked
	w.left = slices.DeleteFunc(w.left, func(name string) bool {
		e := checked{name, s.Process(name), Check{}}
		e.check = w.check(e.name, e.after, now)
		if e.check.Done {
			over = append(over, e)
		} else {
			pending = append(pending, e)
		}
		return e.check.Done
	})
	for _, e := range pending {
		news = append(news, w.slowNews(e, now)...)
	}
	return over, append(news, w.summary(now)...)
}

// check asks the goal, and gives up on a process that has been stalled for too long.
func (w *waiting) check(name string, p *client.Process, now time.Time) Check {
	c := w.goal(p)
	if c.Done || !c.Stalled {
		delete(w.stalled, name)
		return c
	}
	since, known := w.stalled[name]
	if !known {
		since = now
		w.stalled[name] = now
	}
	limit := stallLimit
	if c.Awaits.Controller() {
		limit = controllerLimit
	}
	switch {
	case now.Sub(since) < limit:
		return c
	case c.Awaits.Controller():
		return ended(supervisor.Failed, "no controller has answered for "+limit.String()+"; is distsuperd running? (distsuperctl controllers)")
	case p != nil && p.Text != "":
		return ended(supervisor.Failed, p.Text)
	}
	return ended(supervisor.Failed, c.Text)
}

// slowNews is the news of a state that lasts, once for each.
func (w *waiting) slowNews(e checked, now time.Time) []Progress {
	s := w.slow[e.name]
	if s.text != e.check.Text {
		s = slowness{text: e.check.Text, since: now}
	}
	defer func() { w.slow[e.name] = s }()
	if s.reported || s.text == "" || now.Sub(s.since) < w.slowAfter || len(w.left) > few {
		return nil
	}
	s.reported = true
	return []Progress{Slow{e.name, s.text}}
}

// summary is the news of which processes are left, now and then while there are many.
func (w *waiting) summary(now time.Time) []Progress {
	if w.summed.IsZero() {
		w.summed = now
	}
	if len(w.left) <= few || now.Sub(w.summed) < leftEvery {
		return nil
	}
	w.summed = now
	return []Progress{Left{Processes: slices.Clone(w.left)}}
}

// giveUp ends what is left when the time is up.
func (w *waiting) giveUp(timeout time.Duration) []checked {
	var out []checked
	for _, name := range w.left {
		text := fmt.Sprintf("not done within %v, and it goes on", timeout)
		if state := w.slow[name].text; state != "" {
			text += "; " + state
		}
		e := checked{name: name, check: ended(supervisor.Failed, text)}
		if w.snapshot != nil {
			e.after = w.snapshot.Process(name)
		}
		out = append(out, e)
	}
	w.left = nil
	return out
}
