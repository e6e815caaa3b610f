package config

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// holderName is the abstract socket that the distsuperd solo of a file holds as long as it lives. No file stands behind it that a
// cleaner of temporary directories, or a hand, could take away; the kernel frees it with the process.
func holderName(file string) *net.UnixAddr {
	return &net.UnixAddr{Name: "@distsuper-solo-" + soloName(file), Net: "unix"}
}

// HoldSolo takes the place of the one solo of a configuration file, until the listener is closed. Where another process of this host
// has it, the pid of that one is returned. What a stranger holds, or a process of another container, is none; then both are nil and 0.
func HoldSolo(file string) (hold *net.UnixListener, pid int, err error) {
	for range 10 {
		hold, err = net.ListenUnix("unix", holderName(file))
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		var gone bool
		if pid, gone = askHolder(file); !gone {
			return nil, pid, nil
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("take the place of the one solo of %s: %w", file, err)
	}
	return hold, 0, nil
}

// SoloHolder is the pid of the solo that holds a configuration file, 0 for none.
func SoloHolder(file string) int {
	pid, _ := askHolder(file)
	return pid
}

// askHolder asks the kernel who listens there. gone is true when nobody does.
func askHolder(file string) (pid int, gone bool) {
	conn, err := net.DialUnix("unix", nil, holderName(file))
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
	// A user could take the name to keep others' solos from starting. A pid of 0 is one of another pid namespace.
	if uid := int(cred.Uid); uid != 0 && uid != os.Geteuid() {
		return 0, false
	}
	return int(cred.Pid), false
}
