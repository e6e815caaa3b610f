// Package cwd names the current directory also when it was deleted under the program, as deployments do with the folder
// of an old release.
//
// Nothing may fail for want of a directory that it does not need: a daemon that is given absolute names goes on and reads
// its configuration again. What is named relative to a deleted directory is not found, and the message says where it was
// looked for.
package cwd

import (
	"os"
	"path/filepath"
	"strings"
)

// Path is the absolute path of the current directory; of one that was deleted it is the path that it had, or "/" when even
// that is not known.
func Path() string {
	path, err := os.Getwd()
	if err == nil {
		return path
	}
	// The kernel still knows the name; so does the shell that started us.
	if path, err = os.Readlink("/proc/self/cwd"); err != nil {
		path = os.Getenv("PWD")
	}
	if path = strings.TrimSuffix(path, " (deleted)"); filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return "/"
}
