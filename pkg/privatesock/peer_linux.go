package privatesock

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Access lets in others than this user and root: whom the owner and the mode of a socket's file would let in. It is what an
// administrator wrote, never a default.
type Access struct {
	UID, GID int
	Mode     fs.FileMode
}

// allows decides as the kernel does: the right to write a socket's file is the right to connect.
func (a *Access) allows(p peer) bool {
	switch {
	case a == nil:
		return false
	case p.uid == a.UID:
		return a.Mode&0o200 != 0
	case p.gid == a.GID, slices.Contains(p.groups, a.GID):
		return a.Mode&0o020 != 0
	}
	return a.Mode&0o002 != 0
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
func CheckPeer(conn net.Conn) error { return checkPeer(conn, nil) }

func checkPeer(conn net.Conn, access *Access) error {
	p, err := peerOf(conn, access != nil)
	if err != nil {
		return err
	}
	return allow(p, os.Geteuid(), access)
}

func allow(p peer, own int, access *Access) error {
	if p.uid == own || p.uid == 0 || access.allows(p) {
		return nil
	}
	return fmt.Errorf("%w: uid %d", ErrPeer, p.uid)
}

// peer is who is at the other end, as it was when it connected.
type peer struct {
	uid, gid int
	groups   []int
}

// peerOf returns the peer, with its supplementary groups only if they are asked for.
func peerOf(conn net.Conn, groups bool) (p peer, err error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return p, fmt.Errorf("%w: it is not a unix socket", ErrPeer)
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return p, err
	}
	var askErr error
	if err := raw.Control(func(fd uintptr) { p, askErr = askPeer(int(fd), groups) }); err != nil {
		return p, err
	}
	if askErr != nil {
		return p, fmt.Errorf("ask who is at the other end of the socket: %w", askErr)
	}
	return p, nil
}

// askPeer asks the kernel.
func askPeer(fd int, groups bool) (p peer, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return p, err
	}
	p.uid, p.gid = int(cred.Uid), int(cred.Gid)
	if groups {
		p.groups = askGroups(fd)
	}
	return p, nil
}

// askGroups returns the supplementary groups; none before Linux 4.13, which does not tell.
func askGroups(fd int) (groups []int) {
	ids := make([]uint32, 32)
	for {
		size := uint32(len(ids) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&ids[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size) > len(ids)*4: // that many there are
			ids = make([]uint32, size/4)
			continue
		case errno != 0:
			return nil
		}
		for _, id := range ids[:size/4] {
			groups = append(groups, int(id))
		}
		return groups
	}
}
