package rpc

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// Paths of the agent's API, below https://host:port. A process is named by the query parameter
// "process": names may hold anything, a slash too. With "machine" a controller passes the request on
// to that machine's agent.
const (
	PathHealth    = "/v1/health"    // GET: Health
	PathProcesses = "/v1/processes" // GET: []Run
	PathRuns      = "/v1/runs"      // GET process, token: Runs
	PathLog       = "/v1/log"       // GET process, channel, and a logstream.Range with bytes for its Last: the log's bytes
	PathSignal    = "/v1/signal"    // POST process, token, signal
	PathStdin     = "/v1/stdin"     // POST process, token; the body is what to write
	PathStop      = "/v1/stop"      // POST process, token: stops it, without asking the fleet; it stays stopped until somebody starts it
	PathClear     = "/v1/clear"     // POST process: empties its logs
)

// PathPromise is the path at a controller by which an agent asks for promises; see package promise.
const PathPromise = "/v1/promise" // POST a promise.Ask: promise.Answer

// MaxStdin is the most bytes of one write to a process.
const MaxStdin = 1 << 20

// Health is how an agent is.
type Health struct {
	Machine string    `json:"machine"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	// Ready is true while the agent has its keeper and has read the store.
	Ready bool `json:"ready"`
	// Store says whether etcd answers: "connected", or how not. StoreSince is when it answered last, if it does not.
	Store      string    `json:"store"`
	StoreSince time.Time `json:"store_since,omitzero"`
	// Contact is how the machine stands with etcd, and its processes because of that; distsuperd solo has none.
	Contact *contact.Contact `json:"contact,omitempty"`
	// Keeper is the parent of the processes; Containment says how it holds what they start.
	KeeperPID   int    `json:"keeper_pid,omitempty"`
	Instance    string `json:"instance,omitempty"`
	Containment string `json:"containment,omitempty"`
	Processes   int    `json:"processes"`
	Draining    bool   `json:"draining,omitempty"`
	// Goroutines are those of the process: of one that leaks they become more.
	Goroutines int `json:"goroutines,omitempty"`
	// Problem is what an operator should know, such as a namesake or an old etcd.
	Problem string `json:"problem,omitempty"`
}

// Run is a run as the keeper has it. Its environment is not told.
type Run struct {
	ID    string `json:"id"`
	Token int64  `json:"token"`
	api.Observed
	Done bool `json:"done,omitempty"`
	// Fate is what its machine's contact with etcd means for it, LeftMillis how long it is to its deadline where it has one. An agent of an
	// earlier version tells neither.
	Fate       contact.Fate `json:"fate,omitempty"`
	LeftMillis int64        `json:"left_ms,omitempty"`
}

// Description is what follows the state in a line of status. A run that was ended because of etcd says that first.
func (r Run) Description(now time.Time) string {
	text := supervisor.Description{Name: r.ID, State: r.State, PID: r.PID, Started: r.Started, Stopped: r.Stopped.Local(), SpawnError: r.Reason}.Text(now)
	switch r.Fate {
	case contact.Ending:
		return r.Reason
	case contact.Fenced:
		if r.FencedMillis == 0 { // it had no copy to be stopped
			return r.Reason
		}
		return fmt.Sprintf("fenced %s ago: %s", contact.Span(now.Sub(r.Stopped)), contact.NoRenewal(time.Duration(r.FencedMillis)*time.Millisecond))
	case contact.Over:
		return strings.TrimPrefix(text+", and the fleet may not know it yet", ", ")
	}
	return text
}

// Runs answers whether anything of a process's run may be alive.
type Runs struct {
	Runs bool `json:"runs"`
}

// Errors on which callers branch; Error keeps their identity over the network.
var (
	ErrNotFound    = errors.New("no such process here")
	ErrNotRunning  = errors.New("not running")
	ErrBadRequest  = errors.New("bad request")
	ErrUnavailable = errors.New("cannot answer now")
	ErrNoLog       = errors.New("no log file")
)

// ErrSilent says that a daemon gave no answer in the time that a client had for it (Client.Within).
var ErrSilent = errors.New("no answer")

// codes names the errors on the wire.
var codes = []struct {
	code   string
	status int
	err    error
}{
	{"not-found", 404, ErrNotFound},
	{"not-running", 409, ErrNotRunning},
	{"bad-request", 400, ErrBadRequest},
	{"unavailable", 503, ErrUnavailable},
	{"no-log", 404, ErrNoLog},
}

// Error is an answer that is no success.
type Error struct {
	Code string `json:"code"`
	Text string `json:"error"`
}

func (e *Error) Error() string { return e.Text }

// Unwrap is the error that the code stands for, nil for an unknown one.
func (e *Error) Unwrap() error {
	for _, c := range codes {
		if c.code == e.Code {
			return c.err
		}
	}
	return nil
}

// Answer is how a server tells err: HTTP status and body.
func Answer(err error) (int, *Error) {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.status, &Error{Code: c.code, Text: err.Error()}
		}
	}
	return 500, &Error{Code: "failed", Text: fmt.Sprint(err)}
}
