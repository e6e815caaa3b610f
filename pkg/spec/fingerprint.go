package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/distsuper/distsuper/pkg/api"
)

// processView is what the process itself sees of its settings: a change of it restarts the process,
// any other applies to the live one.
type processView struct {
	Command        string
	Shell          bool
	Directory      string
	User           string
	Umask          *int
	Environment    map[string]string
	RedirectStderr bool
	Stdout, Stderr string
}

// Fingerprint is a short hash of the settings whose change restarts a process.
func Fingerprint(p api.Process) string {
	stderr := p.Stderr.File
	if !p.RedirectStderr {
		stderr = destination(p.Stderr)
	}
	b, err := json.Marshal(processView{
		Command: p.Command, Shell: p.Shell, Directory: p.Directory, User: p.User, Umask: p.Umask,
		Environment: p.Environment, RedirectStderr: p.RedirectStderr,
		Stdout: destination(p.Stdout), Stderr: stderr,
	})
	if err != nil {
		panic("spec: fingerprint: " + err.Error()) // strings and numbers always encode
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// destination is what a process sees of a log: whether there is anything at the other end, and which file. Syslog
// besides a file comes and goes while it runs.
func destination(l api.Log) string {
	if l.File == api.LogNone && l.Syslog {
		return logSyslog
	}
	return l.File
}
