package rpc

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/logstream"
)

// Paths at which a daemon tells of itself and obeys: an agent, distsuperd solo, and a controller for requests that
// name no machine. With "machine" a controller passes them on to that machine's agent, as all others.
const (
	PathDaemon         = "/v1/daemon"          // GET: Daemon
	PathDaemonLog      = "/v1/daemon/log"      // GET bytes, follow: the bytes of the daemon's own log
	PathDaemonPrograms = "/v1/daemon/programs" // GET: Programs; only distsuperd solo has it, others answer ErrBadRequest
	PathDaemonReload   = "/v1/daemon/reload"   // POST
	PathDaemonStop     = "/v1/daemon/stop"     // POST
)

// Daemon is what a daemon says of itself.
type Daemon struct {
	Program    string `json:"program"` // "distsuperd", "distsuperd solo" or "distsuperagent"
	PID        int    `json:"pid"`
	Version    string `json:"version"`
	Identifier string `json:"identifier"`     // id of a controller, machine of an agent, identifier of solo
	Log        string `json:"log,omitempty"`  // the path of its own log; "" when that is no file
	Solo       bool   `json:"solo,omitempty"` // it is controller and agent in one
	File       string `json:"file,omitempty"` // its configuration
}

// Programs is what a configuration file asks for now.
type Programs struct {
	Programs []api.Program `json:"programs"`
	Warnings []string      `json:"warnings,omitempty"`
}

// Daemon asks the daemon itself who it is.
func (c *Client) Daemon(ctx context.Context) (Daemon, error) {
	var d Daemon
	return d, c.get(ctx, PathDaemon, nil, &d)
}

// DaemonLog reads the daemon's own log: its last n bytes (all for n < 0), and with follow what comes, until ctx
// ends or the reader is closed. ErrNoLog says that it has none that can be read.
func (c *Client) DaemonLog(ctx context.Context, n int64, follow bool) (io.ReadCloser, error) {
	stream, err := c.log(ctx, PathDaemonLog, logstream.Range{Last: n, Follow: follow}.Query(lastBytes))
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// DaemonPrograms reads the daemon's configuration file anew, as the daemon would read it. A file that it would refuse is an
// error, with the whole reason.
func (c *Client) DaemonPrograms(ctx context.Context) (Programs, error) {
	var p Programs
	return p, c.get(ctx, PathDaemonPrograms, nil, &p)
}

// DaemonReload asks the daemon to restart: distsuperd solo as for HUP, which stops its processes; a controller in
// its place, which no process notices; an agent reads its settings again. A nil error says that it is about to; settings
// that it would refuse are an error, and then nothing happens.
func (c *Client) DaemonReload(ctx context.Context) error {
	return c.post(ctx, PathDaemonReload, nil, nil)
}

// DaemonStop asks the daemon to end: a controller, whose own etcd goes on; distsuperd solo after its processes; an agent
// after it has stopped and released all processes of its machine, and with its keeper. A nil error says that it has begun.
func (c *Client) DaemonStop(ctx context.Context) error {
	return c.post(ctx, PathDaemonStop, nil, nil)
}

// DaemonServer is what a daemon has to answer its paths with. Its functions are called by many goroutines. What
// Reload and Stop cause comes after they return, so that the caller is answered; by is who asks.
type DaemonServer struct {
	Daemon func() Daemon
	// Log opens the daemon's own log as Client.DaemonLog says; ErrNoLog is for none.
	Log      func(ctx context.Context, n int64, follow bool) (io.ReadCloser, error)
	Programs func() (Programs, error) // nil where there is no file of programs
	Reload   func(by string) error
	Stop     func(by string) error
}

// LogFile is DaemonServer.Log for a log in a file, which tail reads. Where there is no file path is "", and elsewhere says where the log
// goes instead.
func LogFile(tail func(ctx context.Context, path string, n int64, follow bool) (io.ReadCloser, error), path, elsewhere string,
) func(ctx context.Context, n int64, follow bool) (io.ReadCloser, error) {
	return func(ctx context.Context, n int64, follow bool) (io.ReadCloser, error) {
		if path == "" {
			return nil, fmt.Errorf("%w: %s", ErrNoLog, elsewhere)
		}
		r, err := tail(ctx, path, n, follow)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoLog, err)
		}
		return r, nil
	}
}

// Mount answers the paths of daemons. The handlers believe that whoever gets there may.
func (s DaemonServer) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathDaemon, func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, s.Daemon())
	})
	mux.HandleFunc("GET "+PathDaemonLog, s.getLog)
	mux.HandleFunc("GET "+PathDaemonPrograms, s.getPrograms)
	mux.HandleFunc("POST "+PathDaemonReload, command(s.Reload))
	mux.HandleFunc("POST "+PathDaemonStop, command(s.Stop))
}

func (s DaemonServer) getLog(w http.ResponseWriter, r *http.Request) {
	part, err := LogRange(r)
	if err != nil {
		WriteError(w, err)
		return
	}
	log, err := s.Log(r.Context(), part.Last, part.Follow)
	if err != nil {
		WriteError(w, err)
		return
	}
	defer log.Close()
	logstream.Send(w, log)
}

func (s DaemonServer) getPrograms(w http.ResponseWriter, _ *http.Request) {
	if s.Programs == nil {
		WriteError(w, fmt.Errorf("%s reads no programs from a file, distsuperctl load does: %w", s.Daemon().Program, ErrBadRequest))
		return
	}
	p, err := s.Programs()
	if err != nil {
		WriteError(w, err)
		return
	}
	WriteJSON(w, http.StatusOK, p)
}

func command(do func(by string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := do(Caller(r)); err != nil {
			WriteError(w, err)
			return
		}
		WriteJSON(w, http.StatusOK, struct{}{})
	}
}
