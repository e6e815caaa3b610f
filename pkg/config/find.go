package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Names under which the file is looked for when nobody names one.
const (
	FileName = "distsuper.ini"
	EtcFile  = "/etc/distsuper.ini"
	EnvFile  = "DISTSUPER_CONFIG"
)

// Where state lives: in StateName beside the file, in EtcState for a file in /etc.
const (
	StateName = ".distsuper"
	EtcState  = "/var/lib/distsuper"
)

// ErrNoFile says that there is no file to read and nothing that makes one unnecessary.
var ErrNoFile = errors.New("no " + FileName + " here and no " + EtcFile +
	"; write one with `distsuperctl init config .`, name one with -c FILE, or give --etcd-endpoints")

// find returns the absolute name of the file to read: the one named, else the first that is there.
// It returns "" when there is none.
func find(named, cwd, etc string) (string, error) {
	if named != "" {
		if !filepath.IsAbs(named) {
			named = filepath.Join(cwd, named)
		}
		return filepath.Clean(named), nil
	}
	for _, name := range []string{filepath.Join(cwd, FileName), etc} {
		switch _, err := os.Stat(name); {
		case err == nil:
			return name, nil
		case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission):
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
	}
	return "", nil
}

// stateDir is where the daemons keep their state unless told otherwise.
func stateDir(file, cwd string) string {
	dir := filepath.Dir(file)
	switch {
	case file == "":
		return filepath.Join(cwd, StateName)
	case dir == "/etc" || strings.HasPrefix(dir, "/etc/"):
		return EtcState
	}
	return filepath.Join(dir, StateName)
}

// ReadFile reads a configuration file. As root it refuses one that somebody else may write: its
// programs run as root. It is what ini.Options.ReadFile is to be for every reading of the file.
func ReadFile(name string) ([]byte, error) { return readFile(name, os.Geteuid()) }

func readFile(name string, euid int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// The open file is looked at, not the name, which could mean another file by then.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("read %s: it is a directory; name the file in it", name)
	}
	if euid == 0 {
		if err := refuseShared(name, info); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(f)
}
