package fsm

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

const (
	// minRekill is the shortest time between two SIGKILLs of a process that does not die.
	minRekill = time.Second
	// A program with startsecs=0 that ends at once would take the whole machine: supervisor restarts it as often
	// as its main loop turns, about once a second. From the hotCopies-th copy in a row that
	// exited within hotLife, or died by a signal within hotDeath, starts are at least hotPause apart.
	hotLife   = 100 * time.Millisecond
	hotDeath  = 10 * time.Millisecond
	hotCopies = 10
	hotPause  = 500 * time.Millisecond
)

// step is one call of Next on its way.
type step struct {
	Lifecycle
	now     clock.Instant
	event   Event
	policy  Policy
	effects []Effect
}

// row is what happens on an event in a state.
type row struct {
	states []api.State
	event  EventKind
	do     func(*step)
}

var (
	anyState  = api.States
	atRest    = []api.State{api.Stopped, api.Exited, api.Fatal}
	coming    = []api.State{api.Starting}
	up        = []api.State{api.Starting, api.Running}
	ending    = []api.State{api.Stopping, api.Unknown}
	waiting   = []api.State{api.Stopped, api.Exited, api.Backoff, api.Fatal}
	notEnding = []api.State{api.Stopped, api.Starting, api.Running, api.Backoff, api.Exited, api.Fatal}
)

// table is the whole of it. A pair of state and event that is not here changes nothing.
var table = []row{
	{atRest, Start, (*step).start},

	{coming, Spawned, (*step).spawned},
	{coming, SpawnFailed, (*step).spawnFailed},
	{coming, Tick, (*step).promote},
	{coming, Changed, (*step).rearm},

	{coming, Exit, (*step).diedStarting},
	{[]api.State{api.Running}, Exit, (*step).exited},
	{ending, Exit, (*step).diedEnding},
	{ending, GroupGone, (*step).groupGone},

	{notEnding, Swept, (*step).cleared},
	{ending, Swept, (*step).ended},

	{up, Stop, (*step).stop},
	{waiting, Stop, (*step).callOff},
	{ending, Stop, (*step).stopInstead},

	{up, Kill, (*step).kill},
	{waiting, Kill, (*step).callOff},
	{ending, Kill, (*step).killInstead},

	{up, Fence, (*step).fence},
	{waiting, Fence, (*step).hold},
	{ending, Fence, (*step).hold},

	{anyState, Deadline, (*step).deadline},
	{anyState, Renewed, (*step).renewed},
	{ending, Tick, (*step).killAgain},
	{[]api.State{api.Stopping}, SignalFailed, (*step).signalFailed},
}

// rows is the table by state and event.
var rows = index(table)

type cell struct {
	state api.State
	event EventKind
}

func index(table []row) map[cell]func(*step) {
	cells := map[cell]func(*step){}
	for _, r := range table {
		for _, s := range r.states {
			if _, twice := cells[cell{s, r.event}]; twice {
				panic("two rows for " + s.String() + " and " + r.event.String())
			}
			cells[cell{s, r.event}] = r.do
		}
	}
	return cells
}

// Next decides what an event means for a run.
func Next(l Lifecycle, now clock.Instant, e Event, p Policy) (Lifecycle, []Effect) {
	s := &step{Lifecycle: l, now: now, event: e, policy: p}
	if do, ok := rows[cell{l.State, e.Kind}]; ok {
		do(s)
	}
	s.startAgain()
	return s.Lifecycle, s.effects
}

func (s *step) emit(e Effect) { s.effects = append(s.effects, e) }

// startAgain is the one place that starts a copy: never beside another, never while
// anything of the last one is left, never past a fence.
func (s *step) startAgain() {
	if !s.Again || s.Copy != None || s.Fenced || s.now.Before(s.Due) {
		return
	}
	s.Again = false
	s.explain(api.FaultNone, "")
	s.State, s.Copy, s.Due = api.Starting, Wanted, clock.Never
	s.emit(Spawn)
}

// comeAgain asks for a copy at the given time at the earliest.
func (s *step) comeAgain(at clock.Instant) { s.Again, s.Due = true, at }

// explain sets the reason and the fact behind it together.
func (s *step) explain(fault api.Fault, reason string) { s.Fault, s.Reason = fault, reason }

// finish ends the run in a state.
func (s *step) finish(state api.State, over Over) {
	s.State, s.Over, s.Again, s.Due = state, over, false, clock.Never
	s.Failures, s.Quick, s.Ending, s.Grace = 0, 0, false, false
}

// start: STOPPED, EXITED or FATAL -> STARTING. A run that is about to start by itself stays.
func (s *step) start() {
	if s.Again {
		return
	}
	s.Over = NotOver
	s.comeAgain(s.now)
}

// spawned: with startsecs=0 the process is RUNNING at once.
func (s *step) spawned() {
	if s.Copy != Wanted {
		return
	}
	s.Copy, s.Started = Alive, s.now
	s.Starts++
	s.rearm()
}

// rearm sets when STARTING becomes RUNNING: strictly later than startsecs after the start.
func (s *step) rearm() {
	if s.Copy != Alive {
		return
	}
	if s.policy.StartTime <= 0 {
		s.run()
		return
	}
	s.Due = s.Started.Add(s.policy.StartTime + 1)
}

func (s *step) run() {
	s.State, s.Failures, s.Due = api.Running, 0, clock.Never
	s.explain(api.FaultNone, "")
}

// promote: STARTING -> RUNNING.
func (s *step) promote() {
	if s.Copy == Alive && s.now.Sub(s.Started) > s.policy.StartTime {
		s.run()
	}
}

// spawnFailed: STARTING -> BACKOFF; a machine that refuses the first copy refuses the run, since
// trying again helps only where it has run before.
func (s *step) spawnFailed() {
	if s.Copy != Wanted {
		return
	}
	s.Copy = None
	if s.event.Refused && s.Starts == 0 {
		s.finish(api.Fatal, Refused)
		s.explain(s.event.Fault, s.event.Text)
		return
	}
	s.fail(s.event.Fault, s.event.Text)
}

// fail: -> BACKOFF, the next try after one second more each time; -> FATAL after startretries.
func (s *step) fail(fault api.Fault, reason string) {
	s.Failures++
	s.explain(fault, reason)
	if s.Failures > s.policy.StartRetries {
		s.finish(api.Fatal, GaveUp)
		return
	}
	s.State = api.Backoff
	s.comeAgain(s.now.Add(time.Duration(s.Failures) * time.Second))
}

// diedStarting: an exit within startsecs is a failure, whatever its code.
func (s *step) diedStarting() {
	if s.Copy != Alive {
		return
	}
	if s.now.Sub(s.Started) >= s.policy.StartTime {
		s.run()
		s.exited()
		return
	}
	s.clear(Sweep)
	s.fail(api.FaultQuickExit, supervisor.ExitedTooQuickly)
}

// exited: RUNNING -> EXITED, and -> STARTING at once by autorestart.
func (s *step) exited() {
	if s.Copy != Alive {
		return
	}
	status := s.event.Status
	s.State, s.Due = api.Exited, clock.Never
	s.explain(api.FaultNone, "")
	if !s.policy.Expects(status) {
		s.explain(api.FaultExit, supervisor.BadExitCode(status))
	}
	if s.policy.again(status) {
		s.clear(Sweep)
		s.comeAgain(s.afterHotLoop())
		return
	}
	s.finish(api.Exited, Finished)
	if s.policy.LeaveChildren && s.policy.Expects(status) {
		s.clear(Leave)
		return
	}
	s.clear(Sweep)
}

// afterHotLoop returns when the next copy may start: now, but for a program that does nothing
// but end.
func (s *step) afterHotLoop() clock.Instant {
	quick := hotLife
	if s.event.Status < 0 { // somebody may be killing it on purpose
		quick = hotDeath
	}
	if s.now.Sub(s.Started) >= quick {
		s.Quick = 0
		return s.now
	}
	s.Quick++
	if s.Quick < hotCopies {
		return s.now
	}
	return max(s.now, s.Started.Add(hotPause))
}

// clear has what is left of the copy killed, or left alone.
func (s *step) clear(how Effect) {
	s.Copy = Sweeping
	s.emit(how)
}

// cleared: nothing is left; startAgain does the rest.
func (s *step) cleared() {
	if s.Copy == Sweeping {
		s.Copy = None
	}
}

// stop: STARTING or RUNNING -> STOPPING.
func (s *step) stop() { s.end(Terminate, false) }

// kill is stop without the signal and the grace.
func (s *step) kill() { s.end(KillAll, false) }

// fence: as stop, but the run goes on when its deadline moves away.
func (s *step) fence() {
	s.Fenced = true
	s.end(Terminate, true)
}

// end sends a living copy away. One that was only wanted is called off.
func (s *step) end(how Effect, byFence bool) {
	if s.Copy != Alive {
		s.Copy = None
		s.State, s.Ending = api.Stopped, false
		if byFence {
			s.comeAgain(s.now)
		} else {
			s.finish(api.Stopped, Stopped)
		}
		return
	}
	s.State, s.Ending = api.Stopping, byFence
	s.Grace = how == Terminate && s.policy.StopAsGroup
	s.Due = s.now.Add(s.policy.StopWait)
	s.emit(how)
}

// callOff: a stop of a run that has no living copy: BACKOFF, fenced, or between two copies.
func (s *step) callOff() {
	if s.Over != NotOver {
		return
	}
	s.finish(api.Stopped, Stopped)
}

// stopInstead: a copy that ends by a fence shall not come again. It has its signal.
func (s *step) stopInstead() { s.Ending = false }

// killInstead: no more grace.
func (s *step) killInstead() {
	s.Ending = false
	s.killRest()
}

// killRest kills whatever of a copy on its way out is alive.
func (s *step) killRest() {
	s.Grace = false
	switch s.Copy {
	case Alive:
		s.emit(KillAll)
	case AwaitingGroup:
		s.sweepEnding()
	}
}

// sweepEnding kills what is left of a copy that was told to end.
func (s *step) sweepEnding() {
	s.Due = clock.Never
	s.clear(Sweep)
}

// hold: no copy starts.
func (s *step) hold() {
	if s.Over == NotOver {
		s.Fenced = true
	}
}

// deadline: whatever lives, dies.
func (s *step) deadline() {
	if s.Over == NotOver || s.Copy != None {
		s.Fenced = true
	}
	switch s.State {
	case api.Starting, api.Running:
		s.end(KillAll, true)
	case api.Stopping, api.Unknown:
		s.killRest()
	}
}

func (s *step) renewed() { s.Fenced = false }

// killAgain: STOPPING for stopwaitsecs -> SIGKILL, and again until it is dead.
func (s *step) killAgain() {
	if s.now.Before(s.Due) {
		return
	}
	if s.Copy != Alive {
		s.killRest()
		return
	}
	s.Grace = false
	s.Due = s.now.Add(max(s.policy.StopWait, minRekill))
	s.emit(KillMain)
}

// diedEnding: the main process is gone, whatever its status; STOPPING lasts until all is. Where the stop signal went to the
// group, the others in it may take their time, too: the main process is often a shell that dies at once, and the work is theirs.
func (s *step) diedEnding() {
	if s.Copy != Alive {
		return
	}
	if s.Grace && s.now.Before(s.Due) {
		s.Copy = AwaitingGroup
		s.emit(AwaitGroup)
		return
	}
	s.sweepEnding()
}

// groupGone: nothing of the group is left. What is left of the copy left the group, and was told nothing.
func (s *step) groupGone() {
	if s.Copy == AwaitingGroup {
		s.sweepEnding()
	}
}

// ended: STOPPING -> STOPPED. By a fence it is no failure, and the run waits.
func (s *step) ended() {
	if s.Copy != Sweeping {
		return
	}
	s.Copy = None
	if !s.Ending {
		s.finish(api.Stopped, Stopped)
		return
	}
	s.State, s.Ending, s.Grace = api.Stopped, false, false
	s.comeAgain(s.now)
}

// signalFailed: -> UNKNOWN; the exit, when it comes, still ends it.
func (s *step) signalFailed() {
	s.State, s.Grace = api.Unknown, false
	s.explain(api.FaultSignal, s.event.Text)
}
