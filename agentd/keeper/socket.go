package keeper

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
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

// A Socket is where a keeper listens. It may be removed under a living keeper, and Renew makes it anew.
type Socket struct {
	*privatesock.Socket
	dir string // the state directory
}

// Listen opens the keeper's socket, 0600, in a directory that only its user may enter. The caller holds the lock of
// the state directory: a socket file that is there is a leftover, and is replaced.
func Listen(stateDir string) (Socket, error) {
	path := SocketPath(stateDir)
	if err := prepare(stateDir, path); err != nil {
		return Socket{}, err
	}
	s, err := privatesock.Open(path)
	if err != nil {
		return Socket{}, fmt.Errorf("the keeper's socket: %w", err)
	}
	return Socket{s, stateDir}, nil
}

// ResumeSocket goes on with the socket of a state directory that another binary of this process has opened.
func ResumeSocket(stateDir string, h privatesock.Handed) (Socket, error) {
	s, err := privatesock.Resume(h)
	return Socket{s, stateDir}, err
}

// Intact reports whether agents find the keeper at its socket.
func (s Socket) Intact() bool { return s.Current() && SocketPath(s.dir) == s.Addr().String() }

// Renew makes the socket anew. As for Listen, the caller holds the lock of the state directory.
func (s Socket) Renew() error {
	if err := prepare(s.dir, s.Addr().String()); err != nil {
		return err
	}
	return s.Socket.Renew()
}

// prepare makes the directory of a socket, and leaves a link to it where it is not in the state directory.
func prepare(stateDir, path string) error {
	dir, long := filepath.Dir(path), longSocket(stateDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the keeper's socket: %w", err)
	}
	if path == long {
		return nil
	}
	if err := privatesock.CheckDir(dir); err != nil {
		return fmt.Errorf("the keeper's socket, which XDG_RUNTIME_DIR may put elsewhere: %w", err)
	}
	if err := relink(path, long); err != nil {
		return fmt.Errorf("leave a link to the keeper's socket: %w", err)
	}
	return nil
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
