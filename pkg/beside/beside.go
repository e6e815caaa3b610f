// Package beside finds a supervisor that runs the programs of a configuration file on this host already, so that nobody runs them
// there a second time: supervisord, or whatever else answers where the file says.
package beside

import "github.com/distsuper/distsuper/pkg/spec"

// File is what a configuration file says of its supervisor.
type File struct {
	Path      string
	Pidfile   string        // absolute, or ""
	Servers   []spec.Server // of [unix_http_server] and [inet_http_server]
	ServerURL string        // of [supervisorctl], where it is written
}

// Supervisor is one that was found.
type Supervisor struct {
	Found string // a clause that names it, and what gave it away
	Stop  string // how it is stopped
}
