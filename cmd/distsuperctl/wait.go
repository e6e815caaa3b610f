package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// verdict is what a look at a process says of what was asked of it.
type verdict struct {
	done  bool
	fault supervisor.Fault // Success, or what failed
	text  string           // why it failed, or what is waited for
	// stuck is true when nothing will happen unless somebody does something; awaits is who.
	stuck  bool
	awaits client.Awaits
}

// pending is a verdict that waits for what the process waits for.
func pending(p *client.Process, stuck bool) verdict {
	return verdict{text: shownState(p), stuck: stuck, awaits: p.Awaits}
}

// pendingRestart waits until a controller replaces the run.
func pendingRestart(p *client.Process) verdict {
	return verdict{text: p.State.String() + " (waiting for a controller to restart it)", stuck: true, awaits: client.AwaitsRestart}
}

// byController reports whether a controller is to act.
func (v verdict) byController() bool {
	return v.awaits == client.AwaitsPlacing || v.awaits == client.AwaitsRemoval || v.awaits == client.AwaitsRestart
}

func over(fault supervisor.Fault, text string) verdict {
	return verdict{done: true, fault: fault, text: text}
}

// How long something may look stuck before waiting ends: a machine or a controller may just be coming.
const (
	stuckLimit  = 5 * time.Second
	leaderLimit = 20 * time.Second
)

// result is what became of one process: one line, or one element of the JSON.
type result struct {
	Process string           `json:"process"`
	Changed bool             `json:"changed"`
	OK      bool             `json:"ok"`
	Result  string           `json:"result"` // "started", "stopped", or supervisor's word for the fault
	Reason  string           `json:"reason,omitempty"`
	State   string           `json:"state,omitempty"`
	Machine string           `json:"machine,omitempty"`
	fault   supervisor.Fault // 0 is success
}

// waiter waits until every process has a verdict.
type waiter struct {
	c     *ctl
	judge func(p *client.Process) verdict
	// tell is called once for each process, as soon as its verdict is there.
	tell func(name string, p *client.Process, v verdict)

	left    []string
	stuck   map[string]time.Time // since when
	shown   map[string]progress
	noted   time.Time // of the last summary
	silence silence
	current client.Seen
	away    time.Time // since when a solo does not listen; zero while it does
}

// wait returns when all have their verdict or the time is up; those that have none then get one that says so.
func (c *ctl) wait(ctx context.Context, o waitOptions, names []string, judge func(*client.Process) verdict,
	tell func(string, *client.Process, verdict)) error {
	if len(names) == 0 {
		return nil
	}
	w := &waiter{c: c, judge: judge, tell: tell, left: slices.Clone(names), stuck: map[string]time.Time{}, shown: map[string]progress{}}
	limit := ctx
	if o.timeout > 0 {
		var cancel context.CancelFunc
		limit, cancel = context.WithDeadline(ctx, o.until)
		defer cancel()
	}
	err := w.run(limit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	for _, name := range w.left {
		text := fmt.Sprintf("not done within %v, and it goes on", o.timeout)
		if shown := w.shown[name].text; shown != "" {
			text += "; " + shown
		}
		w.tell(name, w.find(name), over(supervisor.Failed, text))
	}
	return nil
}

func (w *waiter) find(name string) *client.Process {
	if w.current.Snapshot == nil {
		return nil
	}
	return w.current.Process(name)
}

// run looks at every change, and every second for what lasts too long.
func (w *waiter) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	news, ended := make(chan client.Seen), make(chan error, 1)
	go func() {
		ended <- w.c.client.Watch(ctx, func(s client.Seen) error {
			select {
			case news <- s:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	defer func() { <-ended }()
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for len(w.left) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			ended <- err
			return err
		case s := <-news:
			w.see(s)
		case <-tick.C:
			if err := w.soloEnded(ctx, time.Now()); err != nil {
				return err
			}
			if !w.silence {
				w.look()
			}
		}
	}
	return nil
}

// soloEnded is an error once the distsuperd solo of which something was asked has ended: what it had in memory ended with
// it. One that restarts is back in a moment.
func (w *waiter) soloEnded(ctx context.Context, now time.Time) error {
	switch {
	case !w.c.solo || listens(ctx, w.c.opened.store.Endpoints[0]):
		w.away = time.Time{}
	case w.away.IsZero():
		w.away = now
	case now.Sub(w.away) >= stuckLimit:
		return &exitError{code: exitNotRunning, err: fmt.Errorf("%w any more: it has ended, and what was asked of it with it", errNobody)}
	}
	return nil
}

func (w *waiter) see(s client.Seen) {
	if w.silence.told(w.c, s) {
		return
	}
	w.current = s
	w.look()
}

// silence is whether the store has stopped answering, true while it has.
type silence bool

// told reports whether the store is silent, and says when that begins and ends.
func (is *silence) told(c *ctl, s client.Seen) bool {
	switch {
	case !s.Connected && !bool(*is):
		why, _, _ := strings.Cut(fmt.Sprint(s.Why), "\n") // each part of the store has one
		c.warnf("%s does not answer; waiting for it, and what is shown may be old (%s)", c.storeName(), why)
	case s.Connected && bool(*is):
		c.warnf("%s answers again", c.storeName())
	}
	*is = silence(!s.Connected)
	return bool(*is)
}

// look judges those that have no verdict yet.
func (w *waiter) look() {
	if w.current.Snapshot == nil {
		return
	}
	now := time.Now()
	w.left = slices.DeleteFunc(w.left, func(name string) bool {
		p := w.find(name)
		v := w.judge(p)
		if !v.done && v.stuck {
			v = w.lasting(name, now, v)
		} else {
			delete(w.stuck, name)
		}
		if v.done {
			w.tell(name, p, v)
			return true
		}
		w.progress(name, now, v.text)
		return false
	})
	w.summary(now)
}

// lasting gives up on what has been stuck for too long.
func (w *waiter) lasting(name string, now time.Time, v verdict) verdict {
	since, known := w.stuck[name]
	if !known {
		w.stuck[name] = now
		return v
	}
	limit := stuckLimit
	if v.byController() {
		limit = leaderLimit
	}
	if now.Sub(since) < limit {
		return v
	}
	if v.byController() {
		v.text = "no controller has answered for " + limit.String() + "; is distsuperd running? (distsuperctl controllers)"
	} else if p := w.find(name); p != nil && p.Text != "" {
		v.text = p.Text
	}
	return over(supervisor.Failed, v.text)
}

// few is how many processes are told one by one; of more there is a summary.
const few = 5

// progress is what is waited for, and since when; told once it has lasted.
type progress struct {
	text  string
	since time.Time
	told  bool
}

// worthTelling is how long a state lasts before somebody who waits is told of it.
const worthTelling = 700 * time.Millisecond

// worthTellingAlone is that of a solo, where nothing but the process can be slow.
const worthTellingAlone = 5 * time.Second

// progress notes what is waited for, and tells it when it lasts.
func (w *waiter) progress(name string, now time.Time, text string) {
	p := w.shown[name]
	if p.text != text {
		p = progress{text: text, since: now}
	}
	after := worthTelling
	if w.c.solo {
		after = worthTellingAlone
	}
	if !p.told && text != "" && now.Sub(p.since) >= after && len(w.left) <= few {
		w.c.warnf("%s: %s", name, text)
		p.told = true
	}
	w.shown[name] = p
}

// summary tells the number of those that are waited for, at most every two seconds.
func (w *waiter) summary(now time.Time) {
	if w.noted.IsZero() {
		w.noted = now
	}
	if len(w.left) <= few || now.Sub(w.noted) < 2*time.Second {
		return
	}
	w.noted = now
	w.c.warnf("waiting for %s: %s", plural(len(w.left), "process"), some(w.left))
}

// judgeStart says whether a process runs, for the wish that stands.
func judgeStart(p *client.Process) verdict {
	switch {
	case p == nil || p.Spec == nil:
		return over(supervisor.BadName, "it was removed meanwhile")
	case p.Intent == nil || p.Intent.Want != api.WantRun:
		return over(supervisor.Failed, "it was stopped meanwhile"+askedBy(p))
	case p.Owner == nil || p.Owner.Restarts != p.Intent.Restarts:
		return pending(p, p.State == api.Starting || p.State == api.Stopped)
	}
	switch p.State {
	case api.Running:
		return over(supervisor.Success, "")
	case api.Exited:
		return judgeExit(p)
	case api.Fatal:
		if p.Owner.Finished == nil {
			return pending(p, false) // another machine may be tried
		}
		return over(spawnFault(p.Fault), p.Text)
	case api.Stopped, api.Unknown:
		return pending(p, true)
	}
	return pending(p, p.Awaits == client.AwaitsPlacing)
}

// judgeStart is the package's, but for a solo: there the first try tells, as with supervisorctl, since scripts wait for it
// and startretries may be any number.
func (c *ctl) judgeStart(p *client.Process) verdict {
	v := judgeStart(p)
	if !v.done && c.solo && p.State == api.Backoff && p.Owner != nil && p.Owner.Restarts == p.Intent.Restarts {
		return over(spawnFault(p.Fault), p.Text+"; it is tried again")
	}
	return v
}

// judgeExit says of a process that ended by itself whether it ended well.
func judgeExit(p *client.Process) verdict {
	s := p.Status
	if s == nil || s.Exit == nil || slices.Contains(p.Spec.ExitCodes, *s.Exit) {
		return over(supervisor.Success, "")
	}
	text := fmt.Sprintf("it exited with status %d", *s.Exit)
	if s.Signal != "" {
		text = "it was ended by signal " + s.Signal
	}
	return over(supervisor.AbnormalTermination, text+" on "+p.Owner.Machine)
}

// spawnFault is supervisor's fault for what keeps a process from running.
func spawnFault(f api.Fault) supervisor.Fault {
	switch f {
	case api.FaultNoFile:
		return supervisor.NoFile
	case api.FaultNotExecutable:
		return supervisor.NotExecutable
	}
	return supervisor.SpawnError
}

// judgeStop says whether a process is down.
func judgeStop(p *client.Process) verdict {
	switch {
	case p == nil:
		return over(supervisor.Success, "")
	case p.Intent != nil && p.Intent.Want == api.WantRun && p.Spec != nil:
		return over(supervisor.Failed, "it was started again meanwhile"+askedBy(p))
	case p.State == api.Stopped, p.State == api.Exited, p.State == api.Fatal:
		return over(supervisor.Success, "")
	case p.State == api.Unknown:
		return pending(p, true)
	}
	return pending(p, p.Awaits == client.AwaitsRemoval) // then the placement still stands: the leader has not looked yet
}

// askedBy names who asked last.
func askedBy(p *client.Process) string {
	if p.Intent == nil || p.Intent.By == "" {
		return ""
	}
	return " by " + p.Intent.By
}

// shownState is the state in a line of progress; of what runs the uptime says nothing here.
func shownState(p *client.Process) string {
	text := p.State.String()
	switch {
	case p.Awaits == client.AwaitsRemoval:
		text += " (waiting for a controller to take it off " + p.Owner.Machine + ")"
	case p.Awaits == client.AwaitsNothing && (p.State == api.Starting || p.State == api.Backoff):
		text += " on " + p.Owner.Machine
	}
	if p.Text != "" && p.State != api.Running {
		text += " (" + p.Text + ")"
	}
	return text
}
