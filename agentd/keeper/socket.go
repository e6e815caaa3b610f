package keeper

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/distsuper/distsuper/pkg/privatesock"
)

// longestSocket is what the kernel takes as the path of a unix socket.
const longestSocket = 107

// SocketPath is where the keeper of a state directory listens: keeper.sock in it, or, when that path
// is too long for the kernel, a short one under the runtime directory, named by the hash of the long one. A keeper
// that listens on a short path leaves a link to it at the long one, so that programs started with another
// XDG_RUNTIME_DIR find it, too.
func SocketPath(stateDir string) string {
	long := longSocket(stateDir)
	if len(long) <= longestSocket {
		return long
	}
	if short, err := os.Readlink(long); err == nil && len(short) <= longestSocket {
		return short
	}
	sum := sha256.Sum256([]byte(long))
	return filepath.Join(runtimeDir(), "keeper-"+hex.EncodeToString(sum[:8])+".sock")
}

func longSocket(stateDir string) string {
	if abs, err := filepath.Abs(stateDir); err == nil {
		stateDir = abs
	}
	return filepath.Join(stateDir, "keeper.sock")
}

// runtimeDir is the first of the user's own runtime directory, the system's, and one below /tmp.
func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && len(dir) < 60 && privatesock.CheckDir(dir) == nil {
		return filepath.Join(dir, "distsuper")
	}
	if os.Geteuid() == 0 {
		return "/run/distsuper"
	}
	return "/tmp/distsuper-" + strconv.Itoa(os.Geteuid())
}

// Listen opens the keeper's socket, 0600, in a directory that only its user may enter. The caller holds the lock of
// the state directory: a socket file that is there is a leftover, and is replaced.
func Listen(stateDir string) (net.Listener, error) {
	path, long := SocketPath(stateDir), longSocket(stateDir)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the keeper's socket: %w", err)
	}
	if path != long {
		if err := privatesock.CheckDir(dir); err != nil {
			return nil, fmt.Errorf("the keeper's socket, which XDG_RUNTIME_DIR may put elsewhere: %w", err)
		}
		if err := relink(path, long); err != nil {
			return nil, fmt.Errorf("leave a link to the keeper's socket: %w", err)
		}
	}
	l, err := privatesock.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the keeper's socket: %w", err)
	}
	return l, nil
}

func relink(path, link string) error {
	if have, err := os.Readlink(link); err == nil && have == path {
		return nil
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(path, link)
}
