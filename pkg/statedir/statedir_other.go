//go:build !linux

package statedir

import "os"

// WriteFile writes a file: daemons, which have a reserve for it, run on Linux only.
func WriteFile(path string, content []byte) error { return os.WriteFile(path, content, 0o600) }
