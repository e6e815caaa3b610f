//go:build !linux

package embedded

import "os"

// Running is false: daemons run on Linux only.
func Running(string) bool { return false }

// DiskTrouble is "".
func DiskTrouble(string) string { return "" }

func private(dir string) error { return os.Chmod(dir, 0o700) }
