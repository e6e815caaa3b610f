// Package keeper is what the agent and the keeper say to one another.
//
// The keeper is the small per-machine parent of the supervised processes: a process of its
// own, so that an agent can be restarted, upgraded or killed without one of them noticing. It
// knows runs, deadlines and log files; it knows no etcd and no placement. The agent tells it what
// to run and until when; it tells the agent what became of it, and keeps what nobody has fetched.
//
// Keeper is the interface that the agent uses. Client and Server carry it over HTTP on a unix
// socket; package engine is the keeper itself.
package keeper

import (
	"context"
	"errors"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/logstream"
)

// A keeper is known by its command line, also to who looks for it in /proc: its first argument is Command, and StateDirFlag begins the
// one that names its state directory.
const (
	Command      = "keeper"
	StateDirFlag = "--state-dir="
)

// Errors on which the agent branches; they keep their identity over the socket.
var (
	// ErrDeadline: the start's deadline has passed, or was too near to start at all.
	ErrDeadline = errors.New("the deadline has passed")
	// ErrToken: the process has a run under another token; end and forget that first.
	ErrToken = errors.New("another run of the process is there")
	// ErrNotFound: no such run.
	ErrNotFound = errors.New("no such run")
	// ErrNotRunning: the run has no living copy to signal or write to.
	ErrNotRunning = errors.New("not running")
	// ErrClosing: the keeper is stopping everything.
	ErrClosing = errors.New("the keeper is shutting down")
)

// Answered reports whether err is the keeper's own answer, which carries the method Answered: it took the call in
// and refused it. Any other error but the ones above leaves open what happened.
func Answered(err error) bool {
	var a interface{ Answered() bool }
	return errors.As(err, &a) && a.Answered()
}

// Lease is a lease as the agent last knew it. The keeper enforces Deadline on every run that names it, and
// keeps the rest for the next agent, whose first act is to renew what it finds here.
type Lease struct {
	ID       int64             `json:"id"`
	TTL      int64             `json:"ttl"` // seconds, as granted
	Deadline deadline.Deadline `json:"deadline"`
	// Term is etcd's raft term when it was granted, or an earlier one; 0 is not known. The keeper keeps it for the next agent.
	Term uint64 `json:"term,omitempty"`
}

// Cause says why a run is over, or why its copy was ended.
type Cause string

const (
	CauseNone     Cause = ""         // it is not over
	CauseFinished Cause = "finished" // EXITED and not to be restarted
	CauseFatal    Cause = "fatal"    // gave up: FATAL
	CauseRefused  Cause = "refused"  // this machine cannot run it: no such command, user, directory
	CauseStopped  Cause = "stopped"  // the agent asked
	CauseFenced   Cause = "fenced"   // the deadline came; starts again in place when a lease of it is renewed
)

// StartRequest asks for a run.
type StartRequest struct {
	Token int64 `json:"token"`
	// Instance of the keeper that it is meant for: another one refuses it with ErrNotFound, since a
	// request may reach the successor of a keeper that died. Empty is any.
	Instance string      `json:"instance,omitempty"`
	Process  api.Process `json:"process"`
	// Leases on which the touch stands or may stand: the earliest deadline counts. Empty with
	// OnPartition keep is a run without a deadline.
	Leases      []int64         `json:"leases,omitempty"`
	OnPartition api.OnPartition `json:"on_partition"`
	// Env is added last: DISTSUPER_TOKEN, DISTSUPER_MACHINE and DISTSUPER_PROCESS.
	Env map[string]string `json:"env,omitempty"`
}

// Run is the state of a process under one token.
type Run struct {
	ID          string          `json:"id"` // api.Process.ID
	Token       int64           `json:"token"`
	Seq         uint64          `json:"seq"` // rises with every change of any run
	Process     api.Process     `json:"process"`
	Leases      []int64         `json:"leases,omitempty"`
	OnPartition api.OnPartition `json:"on_partition"`
	api.Observed
	Cause Cause `json:"cause,omitempty"`
	// Done: the run is over (never with CauseFenced) and nothing that it started is alive. It stays listed until Forget.
	Done bool `json:"done,omitempty"`
	// Gone: no copy runs and nothing that any copy started is alive now.
	Gone bool `json:"gone,omitempty"`
}

// Outcome is how a run of an earlier keeper ended, of which no agent took note before that keeper ended.
type Outcome struct {
	Instance    string          `json:"instance"` // that keeper's
	ID          string          `json:"id"`
	Token       int64           `json:"token"`
	OnPartition api.OnPartition `json:"on_partition"`
	Cause       Cause           `json:"cause"`
	api.Observed
}

// Run is the run as it ended, but for its settings.
func (o Outcome) Run() Run {
	return Run{ID: o.ID, Token: o.Token, OnPartition: o.OnPartition, Cause: o.Cause, Observed: o.Observed, Done: true, Gone: true}
}

// OutcomesOf are those of the runs that are over.
func OutcomesOf(instance string, runs []Run) []Outcome {
	var outcomes []Outcome
	for _, r := range runs {
		if r.Done {
			outcomes = append(outcomes, Outcome{instance, r.ID, r.Token, r.OnPartition, r.Cause, r.Observed})
		}
	}
	return outcomes
}

// Hello is who the keeper is.
type Hello struct {
	Instance string `json:"instance"` // random, made at its start
	BootID   string `json:"boot_id"`
	// Clocks are those by which it enforces deadlines, see api.HostIdentity.
	Clocks  string `json:"clocks,omitempty"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
	// Config is the configuration file of the agent that started it, "" for none.
	Config string `json:"config,omitempty"`
	// Containment says how descendants are held: "cgroup2" or "subreaper".
	Containment string `json:"containment"`
	// KillMillis is how long it takes by now to kill a process and its descendants, where that is not done at once: deadlines are
	// enforced that much earlier.
	KillMillis int64 `json:"kill_ms,omitempty"`
	// Predecessors are the instances of earlier keepers on this state directory and this boot, newest first. Nothing
	// that they ran is alive any more: a keeper makes sure of that before it answers its first call. Rebooted are those of
	// earlier boots of this very host, as their identities prove. Of whom the state directory names beside these, such as the
	// keepers of the host that it was copied from, nothing is known, and nothing is said.
	Predecessors []string `json:"predecessors,omitempty"`
	Rebooted     []string `json:"rebooted,omitempty"`
	// Outcomes are how runs of these ended, where they could write it down.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Goroutines are those of the process: of one that leaks they become more.
	Goroutines int `json:"goroutines,omitempty"`
	// Handover is the version of the state that it can hand to another binary in its place (Upgrader); 0 for a keeper that cannot.
	// Handovers counts how often that was done in the life of this keeper, and HandoverError says why the last try failed.
	Handover      int    `json:"handover,omitempty"`
	Handovers     int    `json:"handovers,omitempty"`
	HandoverError string `json:"handover_error,omitempty"`
	// Farewells: it ends long promises when etcd is back (promise.Returns); false for a keeper that does not know them.
	Farewells bool `json:"farewells,omitempty"`
	// Owner is what the agent last stored with SetOwner: its machine name.
	Owner string `json:"owner,omitempty"`
	// Holds is the version of package promise by which this keeper holds runs; one of an earlier version says nothing, and holds none.
	Holds int `json:"holds,omitempty"`
	// Promises are what an agent last stored with Hold, for the next one.
	Promises Promises `json:"promises,omitzero"`
}

// Snapshot is the runs that changed after the asked sequence number, all of them for 0.
type Snapshot struct {
	Instance string  `json:"instance"`
	Seq      uint64  `json:"seq"`
	Runs     []Run   `json:"runs"`
	Forgot   []Ref   `json:"forgot,omitempty"`
	Leases   []Lease `json:"leases"`
	Holding  Holding `json:"holding,omitzero"`
}

// Holding is which runs may go on without their leases: every controller has promised to leave them alone.
type Holding struct {
	Controllers []string `json:"controllers"`
	// Limit is until when they may go on at most, however often the promises are renewed.
	Limit deadline.Deadline `json:"limit"`
	Runs  []Held            `json:"runs"`
}

// IsZero reports whether no run is held.
func (h Holding) IsZero() bool { return len(h.Runs) == 0 }

// Held is a run that is held until a deadline, which the keeper enforces when that of its leases has passed.
type Held struct {
	Ref
	Until deadline.Deadline `json:"until"`
}

// Ref names a run.
type Ref struct {
	ID    string `json:"id"`
	Token int64  `json:"token"`
}

// Keeper is what an agent needs of the keeper. Calls return when the enforcing loop has taken them in, not
// when the effect is there; Changes tells of that.
type Keeper interface {
	Hello(ctx context.Context) (Hello, error)
	SetOwner(ctx context.Context, owner string) error
	// Changes tells how runs are by now. It returns at once when something changed after since, else when it does or ctx ends. A since that
	// this keeper has not reached is one of an earlier keeper: everything is returned at once.
	Changes(ctx context.Context, since uint64) (Snapshot, error)
	// Transitions returns what happened after a cursor, in its order: at once when there is something, else when there is or
	// ctx ends. Of a lot it returns the first part. What is not kept any more is counted.
	Transitions(ctx context.Context, after Cursor) (Transitions, error)
	// Start begins a run. Repeating it with the same token is harmless. It is refused with ErrDeadline when
	// the deadline has passed, which is looked at again just before each exec.
	Start(ctx context.Context, r StartRequest) error
	// Update replaces the settings of a live run that need no restart, its policy and its leases.
	Update(ctx context.Context, r StartRequest) error
	// Stop ends a run by its stopsignal and stopwaitsecs; then it is Done.
	Stop(ctx context.Context, ref Ref) error
	// StopByHand is Stop for somebody on this machine, whom the fleet has not asked and is told of.
	StopByHand(ctx context.Context, ref Ref, by string) error
	// Kill ends a run at once.
	Kill(ctx context.Context, ref Ref) error
	// Renew tells the deadlines of all leases that the agent holds. It returns when the enforcing loop has
	// taken them, which is its sign of life. Leases not named here and on no run are dropped.
	Renew(ctx context.Context, leases []Lease) error
	// Hold keeps what the agent knows of the promises of controllers: runs that they leave alone go on without their leases, as
	// long as promise.Memory says, and the next agent finds it in Hello.
	Hold(ctx context.Context, p Promises) error
	// Forget drops a run that is Done; remove deletes its AUTO logs too. A token only rises for a process name, so
	// a start under this token or an earlier one, which was under way when its caller gave it up, is refused
	// with ErrToken from now on.
	Forget(ctx context.Context, ref Ref, remove bool) error
	Signal(ctx context.Context, ref Ref, signal string) error
	Stdin(ctx context.Context, ref Ref, data []byte) error
	// Log opens a part of a channel's log ("stdout" or "stderr"). It works for a process whose run is over while the file is there.
	Log(ctx context.Context, id, channel string, r logstream.Range) (*logstream.Stream, error)
	// ClearLogs empties the logs of a process, running or not: each file is removed and made anew, those that rotation
	// has made stay. What is printed after it returned is kept. A process whose output goes nowhere, or to a stream
	// such as /dev/stdout, has nothing to clear, which is no error. ErrNotFound: the keeper has neither a run nor a log of it.
	ClearLogs(ctx context.Context, id string) error
	// ReopenLogs opens all log files anew by their names, the keeper's own, too, after somebody renamed them.
	ReopenLogs(ctx context.Context) error
	// RemoveLogs deletes the AUTO logs of a process that has no run: its program was removed after Forget.
	RemoveLogs(ctx context.Context, id string) error
	// Shutdown stops every run and ends the keeper.
	Shutdown(ctx context.Context) error
}
