package keepertest

import (
	"slices"
	"sort"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// run is a keeper.Run and what the fake must remember of it.
type run struct {
	keeper.Run
	env    map[string]string
	copyAt clock.Instant // start of the copy
	// due is when the run moves by itself: STARTING to RUNNING, BACKOFF to STARTING.
	due     clock.Instant
	retries int
	// ending is why the living copy was sent its stop signal; endAt is when it dies of it.
	ending keeper.Cause
	endAt  clock.Instant
}

func (r *run) clone() keeper.Run {
	c := r.Run
	c.Leases = slices.Clone(r.Leases)
	if r.Exit != nil {
		exit := *r.Exit
		c.Exit = &exit
	}
	return c
}

func sortedIDs(runs map[string]*run) []string {
	ids := make([]string, 0, len(runs))
	for id := range runs {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

func (f *Fake) leasesLocked() []keeper.Lease {
	leases := make([]keeper.Lease, 0, len(f.leases))
	for _, l := range f.leases {
		leases = append(leases, l)
	}
	sort.Slice(leases, func(i, j int) bool { return leases[i].ID < leases[j].ID })
	return leases
}

// touchLocked records that a run changed.
func (f *Fake) touchLocked(r *run) {
	f.seq++
	r.Seq = f.seq
	f.wakeLocked()
}

// deadlineLocked is the boot-time instant of the earliest deadline of a run, and how long
// before it the stop signal is sent. A lease that the keeper was never told of has passed.
func (f *Fake) deadlineLocked(r *run) (clock.Instant, time.Duration) {
	if r.OnPartition == api.PartitionKeep {
		return clock.Never, 0
	}
	if len(r.Leases) == 0 {
		return 0, 0
	}
	at, ttl := clock.Never, int64(0)
	for _, id := range r.Leases {
		l, ok := f.leases[id]
		if !ok {
			return 0, 0
		}
		if b := f.bootOf(l.Deadline); b < at || ttl == 0 {
			at, ttl = b, l.TTL
		}
	}
	return at, deadline.Grace(ttl, time.Duration(r.Process.StopWaitSecs)*time.Second)
}

// bootOf turns a deadline on two clocks into one on the boot-time clock, at their present difference.
func (f *Fake) bootOf(d deadline.Deadline) clock.Instant {
	if d == deadline.None {
		return clock.Never
	}
	boot := clock.Instant(d.Boot)
	if f.opts.Raw != nil {
		boot = min(boot, f.opts.Clock.Now()+clock.Instant(d.Raw-f.opts.Raw()))
	}
	return boot
}

// timeLeftLocked reports whether a copy may be started now: the stop signal would not be due at once.
func (f *Fake) timeLeftLocked(r *run) bool {
	at, lead := f.deadlineLocked(r)
	return at == clock.Never || f.opts.Clock.Now() < at.Add(-lead)
}

// spawnLocked starts a copy. Whoever calls has seen that time is left.
func (f *Fake) spawnLocked(r *run) {
	f.pid++
	now := f.opts.Clock.Now()
	r.PID, r.copyAt, r.Started, r.Gone = f.pid, now, f.opts.Clock.Wall(), false
	r.Starts++
	r.State, r.Cause, r.Fault, r.Reason = api.Starting, keeper.CauseNone, api.FaultNone, ""
	r.due = now.Add(time.Duration(r.Process.StartSecs) * time.Second)
	if r.Process.StartSecs <= 0 {
		r.State, r.due = api.Running, clock.Never
	}
	f.opts.Witness.started(f, r)
	f.touchLocked(r)
}

// endLocked ends the living copy, if there is one.
func (f *Fake) endLocked(r *run, exit int, signal string) {
	if r.PID == 0 {
		return
	}
	f.opts.Witness.ended(f, r)
	r.PID, r.Gone, r.Exit, r.Signal, r.Stopped = 0, true, &exit, signal, f.opts.Clock.Wall()
	r.due, r.endAt = clock.Never, clock.Never
	f.touchLocked(r)
}

// overLocked makes the run Done.
func (f *Fake) overLocked(r *run, state api.State, cause keeper.Cause, fault api.Fault, reason string) {
	r.State, r.Cause, r.Fault, r.Reason, r.Done, r.Gone = state, cause, fault, reason, true, true
	r.due, r.endAt = clock.Never, clock.Never
	f.touchLocked(r)
}

// diedLocked is supervisor's rule for a copy that ended by itself.
func (f *Fake) diedLocked(r *run, exit int, signal string) {
	early, p := r.State == api.Starting, r.Process
	f.endLocked(r, exit, signal)
	expected := signal == "" && slices.Contains(p.ExitCodes, exit)
	switch {
	case early:
		r.retries++
		if r.retries > p.StartRetries {
			f.overLocked(r, api.Fatal, keeper.CauseFatal, api.FaultQuickExit, "Exited too quickly (process log may have details)")
			return
		}
		r.State, r.Fault, r.Reason = api.Backoff, api.FaultQuickExit, "Exited too quickly (process log may have details)"
		r.due = f.opts.Clock.Now().Add(time.Duration(r.retries) * time.Second)
		f.touchLocked(r)
	case p.Autorestart == api.RestartAlways, p.Autorestart == api.RestartUnexpected && !expected:
		f.respawnLocked(r)
	default:
		f.overLocked(r, api.Exited, keeper.CauseFinished, api.FaultNone, "")
	}
}

// respawnLocked starts the next copy in place, or leaves the run fenced when no time is left.
func (f *Fake) respawnLocked(r *run) {
	if f.timeLeftLocked(r) {
		f.spawnLocked(r)
		return
	}
	r.State, r.Cause, r.due = api.Stopped, keeper.CauseFenced, clock.Never
	f.touchLocked(r)
}

// stopLocked is what the agent's stop does.
func (f *Fake) stopLocked(r *run) {
	switch {
	case r.Done:
	case r.PID == 0:
		f.overLocked(r, api.Stopped, keeper.CauseStopped, api.FaultNone, "")
	default:
		r.ending = keeper.CauseStopped
		f.signalLocked(r)
	}
}

// signalLocked sends the stop signal to the living copy.
func (f *Fake) signalLocked(r *run) {
	if r.State != api.Stopping {
		r.State, r.due = api.Stopping, clock.Never
		r.endAt = f.opts.Clock.Now().Add(f.stopTimeLocked(r))
		f.touchLocked(r)
	}
	f.dueRunLocked(r)
}

// stopTimeLocked is how long the copy takes to end after its stop signal.
func (f *Fake) stopTimeLocked(r *run) time.Duration {
	takes, ok := f.stopTakes[r.ID]
	if !ok {
		takes = f.stopTakes[""]
	}
	return min(time.Duration(takes), time.Duration(r.Process.StopWaitSecs)*time.Second)
}

// dueLocked carries out whatever time has come for.
func (f *Fake) dueLocked() {
	if f.down {
		return
	}
	open := false
	for _, id := range sortedIDs(f.runs) {
		if f.resumed != nil && f.passedLocked(f.runs[id]) {
			f.crashLocked() // a keeper that does not enforce is killed by its own timer
			return
		}
		if f.resumed == nil {
			f.dueRunLocked(f.runs[id])
		}
		open = open || !f.runs[id].Done
	}
	if f.closing && !open {
		f.down = true
		f.wakeLocked()
	}
}

func (f *Fake) passedLocked(r *run) bool {
	at, _ := f.deadlineLocked(r)
	return r.PID != 0 && f.opts.Clock.Now() >= at
}

// dueRunLocked: deadlines first, then what the process does by itself.
func (f *Fake) dueRunLocked(r *run) {
	now := f.opts.Clock.Now()
	if r.Done {
		return
	}
	at, lead := f.deadlineLocked(r)
	switch {
	case r.PID != 0 && now >= at:
		if r.ending == keeper.CauseNone {
			r.ending = keeper.CauseFenced
		}
		f.endLocked(r, -1, "KILL")
		f.endedByUsLocked(r)
	case r.State == api.Stopping && now >= r.endAt:
		f.endLocked(r, -1, "TERM")
		f.endedByUsLocked(r)
	case r.PID != 0 && r.State != api.Stopping && at != clock.Never && now >= at.Add(-lead):
		r.ending = keeper.CauseFenced
		f.signalLocked(r)
	case r.Cause == keeper.CauseFenced:
		if r.PID == 0 && f.timeLeftLocked(r) {
			f.spawnLocked(r)
		}
	case r.State == api.Starting && now >= r.due:
		r.State, r.retries, r.due = api.Running, 0, clock.Never
		f.touchLocked(r)
	case r.State == api.Backoff && now >= r.due:
		f.respawnLocked(r)
	}
}

// endedByUsLocked: the copy has ended by a stop or by the fence.
func (f *Fake) endedByUsLocked(r *run) {
	cause := r.ending
	r.ending = keeper.CauseNone
	if cause == keeper.CauseStopped {
		f.overLocked(r, api.Stopped, cause, api.FaultNone, "")
		return
	}
	r.State, r.Cause, r.Fault, r.Reason = api.Stopped, keeper.CauseFenced, api.FaultFenced, "the lease was not renewed in time"
	f.touchLocked(r)
	f.dueRunLocked(r)
}

// nextLocked is when dueLocked has something to do next.
func (f *Fake) nextLocked() clock.Instant {
	next, now := clock.Never, f.opts.Clock.Now()
	if f.down {
		return next
	}
	for _, r := range f.runs {
		if r.Done {
			continue
		}
		at, lead := f.deadlineLocked(r)
		if r.PID != 0 && at != clock.Never {
			if early := at.Add(-lead); r.State != api.Stopping && f.resumed == nil && early > now {
				next = min(next, early)
			}
			next = min(next, at)
		}
		if f.resumed != nil {
			continue
		}
		if r.State == api.Stopping {
			next = min(next, r.endAt)
		}
		if r.State == api.Starting || r.State == api.Backoff {
			next = min(next, r.due)
		}
	}
	return next
}
