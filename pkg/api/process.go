package api

import "time"

// Want is what the user wants of a process now.
type Want string

const (
	WantRun  Want = "run"  // it is to run, until it ends by itself
	WantStop Want = "stop" // it is not to run
)

// Intent is the value of intents/<process>: what the user wants now.
type Intent struct {
	Want Want `json:"want"`
	// Restarts rises by one with every restart, and with every start that changed
	// something: a placement or owner with a lower number is of an earlier request. So a
	// stop and a start that nobody saw apart still make a new run.
	Restarts int64 `json:"restarts"`
	// Moves rises by one with every move asked for; To is the machine of the last one,
	// "" for any other than the present one.
	Moves int64     `json:"moves,omitempty"`
	To    string    `json:"to,omitempty"`
	By    string    `json:"by"` // user@host
	At    time.Time `json:"at"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Placement is the value of machines/<m>/placements/<process>: the leader's decision that the
// process runs on this machine, under this token.
type Placement struct {
	Token int64 `json:"token"`
	// Instance of the machine that it is for. An agent acts on no other.
	Instance string `json:"instance"`
	// OnPartition resolved: stop or keep, never empty.
	OnPartition OnPartition `json:"on_partition"`
	// Written is true when the user wrote on_partition (a written keep may be moved after
	// asking the agent; a resolved one only after confirm-dead).
	Written bool    `json:"on_partition_written,omitempty"`
	Process Process `json:"process"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Owner is the value of owners/<process>. It outlives the placement.
type Owner struct {
	Machine string `json:"machine"`
	// Token of the last run that was placed. It only rises for a process name.
	Token    int64  `json:"token"`
	Instance string `json:"instance"`
	// Placed is true while the placement of Token stands.
	Placed bool `json:"placed"`
	// Finished is "EXITED" or "FATAL" when the run ended by itself and is not to be placed again until the intent or the program changes,
	// and "STOPPED" when somebody stopped it on its machine, until it is started; nil otherwise.
	Finished *State `json:"finished,omitempty"`
	// Restarts and Moves of the intent that this placement answers.
	Restarts int64 `json:"restarts"`
	Moves    int64 `json:"moves,omitempty"`
	// Spec is the fingerprint of the parts of the process's spec whose change restarts
	// it (spec.Fingerprint), so that a finished process whose program changed runs again.
	Spec string `json:"spec"`
	// Failed are the machines on which it went FATAL since the user last started it.
	Failed []string `json:"failed,omitempty"`
	// Reason says why this machine was taken, Rejected why each other one was not.
	Reason   string            `json:"reason"`
	Rejected map[string]string `json:"rejected,omitempty"`
	// Fault is that of the run which Finished tells of as FATAL.
	Fault Fault `json:"fault,omitempty"`
	// MoveRefused says why the last move that was asked for did not happen.
	MoveRefused MoveRefused `json:"move_refused,omitempty"`
	// WaitingFor says what keeps a process that is to run from being placed or moved, such as
	// that no machine may take it; Waiting says it to people. Both are empty when nothing does.
	WaitingFor WaitingFor `json:"waiting_for,omitempty"`
	Waiting    string     `json:"waiting,omitempty"`
	// Proof says how the leader knew that the run before this one was dead.
	Proof Proof     `json:"proof,omitempty"`
	At    time.Time `json:"at"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Proof is how the leader knew that the run before was dead.
type Proof string

const (
	ProofNone      Proof = ""                   // there was no run before
	ProofReleased  Proof = "released"           // the agent released it: nothing of it is alive
	ProofExpired   Proof = "lease expired"      // the keeper's deadline has passed
	ProofUntouched Proof = "never touched"      // it was placed but never started
	ProofOperator  Proof = "confirmed dead"     // machines confirm-dead
	ProofAsked     Proof = "agent says no"      // written keep: the agent's API said it does not run
	ProofNoAnswer  Proof = "agent unreachable"  // written keep: two copies are possible
	ProofInPlace   Proof = "restarted in place" // the same agent stops the old run before the new one
	ProofSuccessor Proof = "next keeper"        // the next keeper of the same boot killed what was left of it
	ProofRebooted  Proof = "host rebooted"      // the very host that ran it was booted again
	ProofSearched  Proof = "host searched"      // on the same boot its agent looked through the whole host and found nothing of it
)

// Touch is the value of machines/<m>/touch/<process>, on a lease of touch_timeout.
type Touch struct {
	Token    int64  `json:"token"`
	Instance string `json:"instance"`
}

// Observed is what a keeper sees of a run. Whatever tells of a run embeds it: its fields are the same ones
// with the keeper, in the store, over the network and in what distsuperctl prints.
type Observed struct {
	State   State     `json:"state"`
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"` // last start of a copy
	Stopped time.Time `json:"stopped,omitzero"` // last end of a copy
	// Exit status of the last copy: -1 when a signal ended it, which Signal then names.
	// Nil while no copy has ended under this token.
	Exit   *int   `json:"exit,omitempty"`
	Signal string `json:"signal,omitempty"`
	// FencedMillis is how long no renewal of its lease had come when the last copy was told to end because of that; 0 when it ended for
	// any other reason.
	FencedMillis int64 `json:"fenced_after_ms,omitempty"`
	// StoppedBy is who stopped it on its machine, without asking the fleet: it stays stopped until somebody starts it.
	StoppedBy string `json:"stopped_by,omitempty"`
	// Starts counts the copies started under this token.
	Starts int `json:"starts,omitempty"`
	// Reason is supervisor's spawnerr, or why the machine refused or ended the run; Fault is the fact behind it.
	Reason string `json:"reason,omitempty"`
	Fault  Fault  `json:"fault,omitempty"`
	// The logs' paths on the machine, "" for a channel that has no file of its own.
	StdoutLog string `json:"stdout_log,omitempty"`
	StderrLog string `json:"stderr_log,omitempty"`
	// OutputHeld is why nothing that the process prints can be written to a log just now, "" while it can: it waits, and
	// with it at last the process. OutputHeldSince is since when.
	OutputHeld      string    `json:"output_held,omitempty"`
	OutputHeldSince time.Time `json:"output_held_since,omitzero"`
}

// HeldText says to people that output is held up, "" when it is not.
func (o Observed) HeldText() string {
	if o.OutputHeldSince.IsZero() {
		return ""
	}
	return "output held up since " + o.OutputHeldSince.Local().Format("15:04:05") + ": " + o.OutputHeld
}

// Status is the value of machines/<m>/status/<process>: what the machine last saw. A process's
// status is the one under the machine and token that its owner names.
type Status struct {
	Token    int64  `json:"token"`
	Instance string `json:"instance"`
	Observed
	// Released is true when the run is over: this write deleted its touch, or found
	// it gone, and nothing that the run started is alive.
	Released bool `json:"released,omitempty"`
	// Proof says how the machine knew that nothing of the run is alive, where a later keeper released it.
	Proof Proof `json:"proof,omitempty"`
	// OnPartition that the machine applies to the run now.
	OnPartition OnPartition `json:"on_partition,omitempty"`
	// Lease on which the touch was put last: the leader asks etcd for it before it believes an expiry.
	Lease int64 `json:"lease,omitempty"`
	// LeaseTTL is that of the lease in seconds, and LeaseTerm etcd's raft term when it was granted, or an earlier one: a lease that has
	// outlived its term may end early, so that its end proves nothing by itself.
	LeaseTTL  int64  `json:"lease_ttl,omitempty"`
	LeaseTerm uint64 `json:"lease_term,omitempty"`
	// Refused is true when the machine could not even try (no such command, user, directory).
	Refused bool `json:"refused,omitempty"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Finished reports whether the run ended without the fleet's doing and is not to be restarted: by itself, or stopped on its machine.
func (s Status) Finished() bool {
	return s.Released && (s.State == Exited || s.State == Fatal || s.StoppedBy != "")
}
