//go:build unix

package config

import (
	"fmt"
	"os"
	"syscall"
)

// refuseShared returns an error when anybody but root may write the file. A group whose id is 0 is root's.
func refuseShared(name string, info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	mode := info.Mode().Perm()
	switch {
	case !info.Mode().IsRegular():
		return nil // /dev/stdin and other pipes belong to who opened them
	case stat.Uid != 0:
		return fmt.Errorf("%s belongs to uid %d, who could have programs run as root; run `chown root %s`, or run this program as that user", name, stat.Uid, name)
	case mode&0o002 != 0:
		return fmt.Errorf("%s may be written by everybody (mode %04o), who could have programs run as root; run `chmod go-w %s`", name, mode, name)
	case mode&0o020 != 0 && stat.Gid != 0:
		return fmt.Errorf("%s may be written by group %d (mode %04o), who could have programs run as root; run `chmod go-w %s`", name, stat.Gid, mode, name)
	}
	return nil
}

// ownerOf is the user to whom a file belongs.
func ownerOf(info os.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// linksOf is how many names a file has.
func linksOf(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Nlink)
	}
	return 1
}
