// Package hold lets one process of this host hold a name as long as it lives.
//
// A name is an abstract unix socket. No file stands behind it that a cleaner of temporary directories, or a hand, could take away;
// the kernel frees it with the process. It reaches as far as the network namespace; a process of another container that shares
// ours has files of its own, and holds nothing of ours.
package hold

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A Hold lasts until Close, or the end of the process. Children do not inherit it.
type Hold struct{ l *net.UnixListener }

// Close lets go of the name.
func (h *Hold) Close() error { return h.l.Close() }

func address(name string) *net.UnixAddr {
	return &net.UnixAddr{Name: "@distsuper-" + name, Net: "unix"}
}

// Take takes a name. Where another process of this host has it, the pid of that one is returned. What a stranger has, or a process
// of another container, is nobody's; then both are nil and 0.
func Take(name string) (h *Hold, pid int, err error) {
	var l *net.UnixListener
	for range 10 {
		l, err = net.ListenUnix("unix", address(name))
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		var gone bool
		if pid, gone = ask(name); !gone {
			return nil, pid, nil
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("take the place of the one %s: %w", name, err)
	}
	return &Hold{l}, 0, nil
}

// By is the pid of the process that has a name, 0 for none.
func By(name string) int {
	pid, _ := ask(name)
	return pid
}

// ask asks the kernel who listens there. gone is true when nobody does.
func ask(name string) (pid int, gone bool) {
	conn, err := net.DialUnix("unix", nil, address(name))
	if err != nil {
		return 0, true
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return 0, false
	}
	// A user could take the name to keep others from starting. A pid of 0 is one of another pid namespace.
	if uid := int(cred.Uid); uid != 0 && uid != os.Geteuid() || !sameFiles(int(cred.Pid)) {
		return 0, false
	}
	return int(cred.Pid), false
}

// sameFiles reports whether a process sees the files that we see, as far as that may be known.
func sameFiles(pid int) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return true
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	return err != nil || ours == theirs
}
