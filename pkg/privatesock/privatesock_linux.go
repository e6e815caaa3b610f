package privatesock

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Listen opens a socket in a directory of 0700, which it makes, and lets in this user and root alone. The caller makes
// sure that nobody else serves there: a socket that is there is a leftover, and is replaced. Closing the listener removes it.
func Listen(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the socket: %w", err)
	}
	if err := CheckDir(dir); err != nil {
		return nil, fmt.Errorf("the socket's directory: %w", err)
	}
	l, err := Open(path)
	if err != nil {
		return nil, err
	}
	return Guard(l, func(error) {}), nil
}

// Open opens a socket of mode 0600, in the place of one that is there. What lets others in at its directory, and who
// connects, is the caller's to look at.
func Open(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an earlier daemon: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("close the socket %s to others: %w", path, err)
	}
	return l, nil
}

// CheckDir says what keeps a directory from being this user's alone.
func CheckDir(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to uid %d, not to us; remove it", dir, st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o); chmod 0700 it", dir, st.Mode&0o7777)
	}
	return nil
}

// Guard accepts connections of this user and root only. Others are hung up on, and told to refused.
func Guard(l net.Listener, refused func(error)) net.Listener { return &guarded{l, refused} }

type guarded struct {
	net.Listener
	refused func(error)
}

func (l *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := CheckPeer(conn); err != nil {
			conn.Close()
			l.refused(err)
			continue
		}
		return conn, nil
	}
}

// ErrPeer says that the other end of a socket is another user's.
var ErrPeer = errors.New("the other end of the socket belongs to another user")

// CheckPeer is nil when the other end is of this user or root.
func CheckPeer(conn net.Conn) error {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%w: it is not a unix socket", ErrPeer)
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
		return fmt.Errorf("ask who is at the other end of the socket: %w", credErr)
	}
	return allow(int(cred.Uid), os.Geteuid())
}

func allow(peer, own int) error {
	if peer == own || peer == 0 {
		return nil
	}
	return fmt.Errorf("%w: uid %d", ErrPeer, peer)
}
