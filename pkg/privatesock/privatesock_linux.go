package privatesock

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/visible"
)

// Socket is a unix socket that this process listens on. Its file may be removed under it: then nobody finds it any more, until
// Renew has made it anew.
type Socket struct {
	path    string
	access  *Access
	careful bool // its directory, and who connects, are looked at

	mu     sync.Mutex // guards what follows
	l      *net.UnixListener
	file   os.FileInfo // as it was made
	held   bool        // Close keeps it open for Release or the next binary
	closed bool
}

// Listen opens a socket in a directory that only this user may write, which it makes with the mode 0700. It lets in this user and
// root, and whom access names. The caller makes sure that nobody else serves there: a socket that is there is a leftover, and is
// replaced. Closing the socket removes its file.
func Listen(path string, access *Access) (*Socket, error) {
	s := &Socket{path: path, access: access, careful: true}
	if err := s.Renew(); err != nil {
		return nil, err
	}
	return s, nil
}

// Open opens a socket of mode 0600, in the place of one that is there. What lets others in at its directory, and who
// connects, is the caller's to look at.
func Open(path string) (*Socket, error) {
	s := &Socket{path: path}
	return s, s.bind()
}

// Renew makes the socket anew at its path, as it was opened. Whoever is connected stays so, and Accept goes on there. The caller
// makes sure that what is there is nobody else's.
func (s *Socket) Renew() error {
	if s.careful {
		dir := filepath.Dir(s.path)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the directory of the socket: %w", err)
		}
		if err := checkDir(dir, s.access); err != nil {
			return fmt.Errorf("the socket's directory: %w", err)
		}
	}
	return s.bind()
}

// bind listens at the path in the place of whatever is there.
func (s *Socket) bind() error {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier daemon: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("open the socket %s: %w", s.path, err)
	}
	// Close removes the file if it is still this one: the name may be another daemon's by then.
	l.SetUnlinkOnClose(false)
	file, err := s.permit()
	if err != nil {
		l.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		os.Remove(s.path)
		return errors.Join(net.ErrClosed, l.Close())
	}
	before := s.l
	s.l, s.file = l, file
	if s.held {
		err = l.SetDeadline(time.Unix(1, 0))
	}
	if before != nil {
		before.Close()
	}
	return err
}

// permit gives the socket's file its mode and owner.
func (s *Socket) permit() (os.FileInfo, error) {
	mode := os.FileMode(0o600)
	if a := s.access; a != nil {
		mode = a.Mode
		if err := os.Lchown(s.path, a.UID, a.GID); err != nil {
			return nil, fmt.Errorf("give the socket %s to those who may use it: %w", s.path, err)
		}
	}
	if err := os.Chmod(s.path, mode); err != nil {
		return nil, fmt.Errorf("close the socket %s to others: %w", s.path, err)
	}
	return os.Lstat(s.path)
}

// Accept implements net.Listener.
func (s *Socket) Accept() (net.Conn, error) {
	for {
		s.mu.Lock()
		l := s.l
		s.mu.Unlock()
		conn, err := l.AcceptUnix()
		if err == nil && s.careful && checkPeer(conn, s.access) != nil {
			conn.Close()
			continue
		}
		if err == nil {
			return conn, nil
		}
		s.mu.Lock()
		renewed := s.l != l
		s.mu.Unlock()
		if !renewed {
			return nil, err
		}
	}
}

// Addr implements net.Listener.
func (s *Socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Current reports whether the file of that name is still this socket.
func (s *Socket) Current() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.currentLocked()
}

func (s *Socket) currentLocked() bool {
	there, err := os.Lstat(s.path)
	return err == nil && os.SameFile(there, s.file)
}

// Close implements net.Listener.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		return nil
	}
	if !s.closed && s.currentLocked() {
		os.Remove(s.path) // somebody else may have done it
	}
	s.closed = true
	return s.l.Close()
}

// CheckDir says what keeps a directory from being this user's alone.
func CheckDir(dir string) error { return checkDir(dir, nil) }

// checkDir lets others pass through the directory, and no more than that, if they have access.
func checkDir(dir string, access *Access) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	shut := uint32(0o077)
	if access != nil {
		shut = 0o066
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to uid %d, not to us; remove it", dir, st.Uid)
	case st.Mode&shut != 0:
		return fmt.Errorf("%s is open to others (mode %04o); run `chmod 0700 %s`", dir, st.Mode&0o7777, visible.Word(dir))
	}
	return nil
}
