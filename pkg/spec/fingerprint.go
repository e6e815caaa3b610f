package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/distsuper/distsuper/pkg/api"
)

// visible is what the process itself sees of its settings: a change of it restarts the process,
// any other applies to the live one.
type visible struct {
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
	b, err := json.Marshal(visible{
		Command: p.Command, Shell: p.Shell, Directory: p.Directory, User: p.User, Umask: p.Umask,
		Environment: p.Environment, RedirectStderr: p.RedirectStderr,
		Stdout: p.Stdout.File, Stderr: p.Stderr.File,
	})
	if err != nil {
		panic("spec: fingerprint: " + err.Error()) // strings and numbers always encode
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
