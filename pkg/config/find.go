package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/distsuper/distsuper/pkg/ownership"
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
			return name, checkFound(name, os.Geteuid())
		case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission):
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
	}
	return "", nil
}

// checkFound refuses a file that nobody named and that another user put where it is looked for: in a folder of
// several users it is not what this one means. Root's are refused when they are read.
func checkFound(name string, euid int) error {
	if euid == 0 {
		return nil
	}
	var untrusted *ownership.UntrustedError
	if err := ownership.CheckPath(name, euid); errors.As(err, &untrusted) {
		return fmt.Errorf("%w; to use it all the same name it: -c %s", untrusted, name)
	}
	return nil
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

// ReadFile reads a configuration file. As root it refuses one that somebody else may write or replace: its
// programs run as root. It is what ini.Options.ReadFile is to be for every reading of the file.
func ReadFile(name string) ([]byte, error) { return readFile(name, os.Geteuid()) }

func readFile(name string, euid int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("read %s: it is a directory; name the file in it", name)
	}
	if euid == 0 {
		if err := ownership.CheckFile(name, f, euid); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(f)
}
