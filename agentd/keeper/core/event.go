package core

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

// Event is one thing that happened or was asked for: one of the types in this file.
type Event interface{ event() }

// What is asked for. Step's error is the answer.
type (
	// Start asks for a run. One that is there already is no error and changes nothing; see Admit.
	Start struct {
		Request keeper.StartRequest
		// StdoutLog and StderrLog are told in the run.
		StdoutLog, StderrLog string
		// Refused is why this machine cannot run the process at all; nil when it can.
		Refused *Failure
	}
	// Update replaces the settings of a run that need no restart, its policy and its leases.
	Update struct{ Request keeper.StartRequest }
	// Stop ends a run by its stop signal, and SIGKILL after stopwaitsecs. By is who asks on this machine, "" for the agent.
	Stop struct {
		Ref keeper.Ref
		By  string
	}
	// Kill ends a run at once.
	Kill struct{ Ref keeper.Ref }
	// Renew tells the deadlines of all leases that the agent holds. A lease that is not named, but on a run, stays as it was.
	Renew struct{ Leases []keeper.Lease }
	// Hold tells what controllers have promised: runs that are held go on when their leases have passed.
	Hold struct{ Promises keeper.Promises }
	// Forget drops a run that is Done.
	Forget struct{ Ref keeper.Ref }
	// Shutdown stops every run, group by group, and then ends the keeper. Asking again changes nothing.
	Shutdown struct{ Why string }
)

// Failure is why there is no copy.
type Failure struct {
	Fault api.Fault // FaultSpawn when it is empty
	Text  string    // for people
	// Refused: this machine cannot run the process: no such command, user or directory.
	Refused bool
	// InChild: a child was born, but could not become the program.
	InChild bool
}

// What happened.
type (
	// Spawned answers a Spawn: the copy is alive. It must be the next event after it.
	Spawned struct {
		Copy Copy
		PID  int
		At   time.Time // for people
	}
	// SpawnFailed answers a Spawn, now or later: there is no copy.
	SpawnFailed struct {
		Copy Copy
		Why  Failure
		At   time.Time // for people
	}
	// Exited tells that the main process of a run has ended and is reaped.
	Exited struct {
		Ref    keeper.Ref
		PID    int
		Status int    // -1 when a signal ended it
		Signal string // its name, such as SIGSEGV
		// CoreDumped: the signal made it leave a core.
		CoreDumped bool
		At         time.Time
	}
	// SignalFailed tells that a Terminate or KillMain could not be carried out, though the process is there.
	SignalFailed struct {
		Ref  keeper.Ref
		Text string
	}
	// Looked answers a Look.
	Looked struct {
		Look Look
		Gone bool
	}
	// OutputHeld tells since when the output of a process is not written to its log, and why: "" when it is again.
	OutputHeld struct {
		ID    string
		Why   string
		Since time.Time // for people
	}
	// KillTime tells how long it takes by now to kill a process tree to its last process, where that is not done at once. Every
	// deadline is enforced that much earlier; see deadline.Lead.
	KillTime struct{ Took time.Duration }
	// LeftAlone answers a LeaveAlone, later: what was left of the copy lives on by itself, or Err says why it cannot.
	LeftAlone struct {
		Copy Copy
		Err  error
	}
)

// The parts of a turn; see the package's comment.
type (
	// Begin begins a turn, before anybody looks which main processes have ended: it enforces deadlines and does nothing else.
	Begin struct{}
	// Tick lets the passing of time have its effects, after all exits that were seen.
	Tick struct{}
	// Next lets the first copy that waits for it be spawned.
	Next struct{}
	// Settle ends a turn.
	Settle struct{}
)

func (Start) event()        {}
func (Update) event()       {}
func (Stop) event()         {}
func (Kill) event()         {}
func (Renew) event()        {}
func (Hold) event()         {}
func (Forget) event()       {}
func (Shutdown) event()     {}
func (Spawned) event()      {}
func (SpawnFailed) event()  {}
func (Exited) event()       {}
func (SignalFailed) event() {}
func (Looked) event()       {}
func (LeftAlone) event()    {}
func (OutputHeld) event()   {}
func (KillTime) event()     {}
func (Begin) event()        {}
func (Tick) event()         {}
func (Next) event()         {}
func (Settle) event()       {}
