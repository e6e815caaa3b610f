package fsm

import (
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// Policy is what the user wrote about starting and stopping.
type Policy struct {
	StartTime     time.Duration
	StartRetries  int
	Autorestart   api.Autorestart
	ExitCodes     []int
	StopWait      time.Duration
	StopAsGroup   bool
	LeaveChildren bool
}

// PolicyOf takes the policy out of a process's settings.
func PolicyOf(s api.Settings) Policy {
	return Policy{
		StartTime:     time.Duration(s.StartSecs) * time.Second,
		StartRetries:  s.StartRetries,
		Autorestart:   s.Autorestart,
		ExitCodes:     s.ExitCodes,
		StopWait:      time.Duration(s.StopWaitSecs) * time.Second,
		StopAsGroup:   s.StopAsGroup,
		LeaveChildren: s.LeaveChildren,
	}
}

// Expects reports whether exitcodes names the status; death by a signal has -1, which it
// cannot name.
func (p Policy) Expects(status int) bool { return slices.Contains(p.ExitCodes, status) }

// again reports whether a process that was RUNNING is restarted after this status.
func (p Policy) again(status int) bool {
	switch p.Autorestart {
	case api.RestartAlways:
		return true
	case api.RestartNever:
		return false
	default:
		return !p.Expects(status)
	}
}

// Copy says what there is of the process on the machine.
type Copy int

const (
	None          Copy = iota // nothing that it started is alive
	Wanted                    // Spawn was asked for and not answered yet
	Alive                     // the main process is there
	Sweeping                  // the main process is gone; Sweep or Leave was asked for and not answered yet
	AwaitingGroup             // the main process is gone; its group, which has the stop signal too, has until Due
)

func (c Copy) String() string {
	return [...]string{"none", "wanted", "alive", "sweeping", "awaiting group"}[c]
}

// Over says why a run ended. It stays once it is set, until Start.
type Over int

const (
	NotOver  Over = iota // it goes on
	Finished             // EXITED, and not to be restarted
	GaveUp               // FATAL after startretries
	Refused              // FATAL: this machine cannot run it at all
	Stopped              // asked for
)

func (o Over) String() string {
	return [...]string{"not over", "finished", "gave up", "refused", "stopped"}[o]
}

// Lifecycle is the state of one run. The zero Lifecycle is a process that was never started. It is
// plain data, so that it can be written down and taken up again.
type Lifecycle struct {
	State api.State `json:"state"`
	Copy  Copy      `json:"copy,omitempty"`
	Over  Over      `json:"over,omitempty"`
	// Started is when the last copy started.
	Started clock.Instant `json:"started,omitempty"`
	// Due is when a copy is to be started, becomes RUNNING or is killed; see Wake.
	Due clock.Instant `json:"due,omitempty"`
	// Starts counts the copies.
	Starts int `json:"starts,omitempty"`
	// Failures is supervisor's back-off counter.
	Failures int `json:"failures,omitempty"`
	// Quick counts the copies in a row that were RUNNING and ended at once.
	Quick int `json:"quick,omitempty"`
	// Again: a copy is to be started as soon as Due has come, nothing is left of the old one
	// and the run is not fenced.
	Again bool `json:"again,omitempty"`
	// Fenced: the deadline is too near or has passed; no copy starts until Renewed.
	Fenced bool `json:"fenced,omitempty"`
	// Ending: the copy was told to end by a fence, not by a stop. Set in STOPPING only.
	Ending bool `json:"ending,omitempty"`
	// Grace: the whole group of the copy has the stop signal and none of it a SIGKILL yet. Set in STOPPING and UNKNOWN only.
	Grace bool `json:"grace,omitempty"`
	// Reason is supervisor's spawnerr: why the last copy failed, or why the run was refused.
	Reason string `json:"reason,omitempty"`
	// Fault is the fact behind Reason.
	Fault api.Fault `json:"fault,omitempty"`
}

// Done reports that the run is over and nothing that it started is alive.
func (l Lifecycle) Done() bool { return l.Over != NotOver && l.Copy == None }

// Gone reports that nothing that the run started is alive.
func (l Lifecycle) Gone() bool { return l.Copy == None || l.Copy == Wanted }

// Held reports that a fence alone keeps the run from having a copy.
func (l Lifecycle) Held() bool { return l.Fenced && l.Over == NotOver && l.Gone() }

// Wake returns when Tick is wanted, clock.Never when only another event can change something.
func (l Lifecycle) Wake() clock.Instant {
	waits := l.Again && l.Copy == None && !l.Fenced
	lives := l.Copy == Alive && l.State != api.Running
	if waits || lives || l.Copy == AwaitingGroup {
		return l.Due
	}
	return clock.Never
}

// EventKind says what happened.
type EventKind int

const (
	Start        EventKind = iota // the agent asks for a run
	Spawned                       // the Spawn effect succeeded
	SpawnFailed                   // it did not: Text, Fault, Refused
	Exit                          // the main process ended: Status
	GroupGone                     // nothing is left of the main process's group
	Swept                         // nothing is left of the copy
	Stop                          // the agent asks for a stop
	Kill                          // the agent asks for the end at once
	Fence                         // the deadline is near: the copy ends
	Deadline                      // the deadline has come: everything dies
	Renewed                       // the deadline moved away again
	SignalFailed                  // the stop signal or a kill could not be sent: Text
	Changed                       // the policy changed
	Tick                          // time has passed
)

func (k EventKind) String() string {
	return [...]string{"start", "spawned", "spawn failed", "exit", "group gone", "swept", "stop", "kill", "fence",
		"deadline", "renewed", "signal failed", "policy changed", "tick"}[k]
}

// Event is one thing that happened.
type Event struct {
	Kind EventKind
	// Status is the exit status of Exit: -1 when a signal ended it.
	Status int
	// Text is why a spawn or a signal failed; of a spawn Fault is the fact behind it.
	Text  string
	Fault api.Fault
	// Refused: the machine cannot run it: no such command, user or directory.
	Refused bool
}

// Effect is one thing to do.
type Effect int

const (
	// Spawn starts a copy.
	Spawn Effect = iota
	// Terminate sends the stop signal: to the group with stopasgroup, else to the main process.
	Terminate
	// KillMain sends SIGKILL: to the group with killasgroup, else to the main process.
	KillMain
	// KillAll sends SIGKILL to everything that the copy started.
	KillAll
	// AwaitGroup looks until nothing is left of the group that a main process led which is gone.
	AwaitGroup
	// Sweep kills what is left of a copy whose main process is gone.
	Sweep
	// Leave takes what is left of a copy out of the run's hands, alive.
	Leave
)

func (e Effect) String() string {
	return [...]string{"spawn", "terminate", "kill main", "kill all", "await group", "sweep", "leave"}[e]
}
