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

	"golang.org/x/sys/unix"
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
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && len(dir) < 60 && private(dir) == nil {
		return filepath.Join(dir, "distsuper")
	}
	if os.Geteuid() == 0 {
		return "/run/distsuper"
	}
	return "/tmp/distsuper-" + strconv.Itoa(os.Geteuid())
}

// private reports what keeps a directory from being ours alone.
func private(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to uid %d, not to us; remove it or set XDG_RUNTIME_DIR", dir, st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o); chmod 0700 it", dir, st.Mode&0o7777)
	}
	return nil
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
		if err := private(dir); err != nil {
			return nil, fmt.Errorf("the keeper's socket: %w", err)
		}
		if err := relink(path, long); err != nil {
			return nil, fmt.Errorf("leave a link to the keeper's socket: %w", err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an earlier keeper: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the keeper's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("close the keeper's socket to others: %w", err)
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

// ErrPeer: the other end of the socket is another user's.
var ErrPeer = errors.New("the other end of the keeper's socket belongs to another user")

// checkPeer lets through our own user and root.
func checkPeer(conn net.Conn) error {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%w: it is no unix socket", ErrPeer)
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if credErr != nil {
		return fmt.Errorf("ask who is at the other end of the keeper's socket: %w", credErr)
	}
	return allow(int(cred.Uid), os.Geteuid())
}

func allow(peer, own int) error {
	if peer == own || peer == 0 {
		return nil
	}
	return fmt.Errorf("%w: uid %d", ErrPeer, peer)
}
