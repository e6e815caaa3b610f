package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// resolveCommand splits the command and finds its file: a name with a slash as it is, from the keeper's
// directory, another one in path.
func (h host) resolveCommand(l *launch, p api.Process, vars ini.Vars, path string) error {
	command, err := expand("command", p.Command, vars)
	if err != nil {
		return err
	}
	if p.Shell {
		l.argv = []string{"/bin/sh", "-c", command}
	} else if l.argv, err = ini.Split(command); err != nil {
		return refuse("%s", supervisor.CantParse(command, err))
	}
	if len(l.argv) == 0 || l.argv[0] == "" {
		return refuse("%s", supervisor.CommandEmpty)
	}
	for _, arg := range l.argv {
		if strings.Contains(arg, "\x00") {
			return refuse("%s", supervisor.CantParse(command, "it has a NUL character"))
		}
	}
	l.path = h.find(l.argv[0], path)
	return checkCommand(l.argv[0], l.path)
}

// find returns the file that a command's first word means. Of a name that is in no directory
// of path the name itself is returned, which then cannot be found.
func (h host) find(name, path string) string {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			return filepath.Join(h.cwd, name)
		}
		return name
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(h.cwd, dir)
		}
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return name
}

// checkCommand is supervisor's check before the fork, in its order and with its texts.
func checkCommand(name, path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil || !filepath.IsAbs(path):
		return refusal{api.FaultNoFile, supervisor.CantFind(name)}
	case info.IsDir():
		return refusal{api.FaultNotExecutable, supervisor.IsDirectory(path)}
	case info.Mode().Perm()&0o111 == 0:
		return refusal{api.FaultNotExecutable, supervisor.IsNotExecutable(path)}
	case unix.Access(path, unix.X_OK) != nil:
		return refusal{api.FaultNotExecutable, supervisor.NoPermission(path)}
	}
	return nil
}

// spawnError is why a copy could not be started.
type spawnError struct {
	text  string
	fault api.Fault // "" is FaultSpawn
	// refused: the machine cannot run it, now or in a second.
	refused bool
	// inChild: it failed between fork and exec, where supervisor's child says so on its stderr
	// and exits with 127.
	inChild bool
}

// forkFailed names the failures of the fork itself; ok is false for what may have failed in the child.
func forkFailed(process string, errno syscall.Errno) (e spawnError, ok bool) {
	switch errno {
	case unix.EAGAIN:
		return spawnError{text: supervisor.TooManyProcesses(process)}, true
	case unix.EMFILE, unix.ENFILE:
		return spawnError{text: supervisor.TooManyFiles(process)}, true
	case unix.ENOMEM, unix.EBUSY, unix.ENODEV, unix.EOPNOTSUPP, unix.ENOSPC, unix.EINTR:
		return spawnError{text: supervisor.ForkFailed(process, unix.ErrnoName(errno))}, true
	}
	return spawnError{}, false
}

// explain finds out what failed in the child, whose only word is an error number: the set-up goes on in the
// order credentials, directory, command. It reads files.
func (l *launch) explain(errno syscall.Errno) spawnError {
	name := unix.ErrnoName(errno)
	if l.cred != nil && errno == unix.EPERM {
		return spawnError{text: supervisor.CantSetuid(int(l.cred.Uid), name), refused: true, inChild: true}
	}
	if l.dir != "" {
		info, err := os.Stat(l.dir)
		if err != nil || !info.IsDir() || errno == unix.EACCES && !l.mayEnter(l.dir) {
			return spawnError{text: supervisor.CantChdir(l.dir, name), refused: true, inChild: true}
		}
	}
	if no := new(refusal); errors.As(checkCommand(l.argv[0], l.path), no) {
		return spawnError{text: no.text, fault: no.fault, refused: true}
	}
	passing := errno == unix.ETXTBSY || errno == unix.EIO
	return spawnError{text: supervisor.CantExec(l.argv[0], name), refused: !passing, inChild: true}
}

// mayEnter reports whether the program's user may go into a directory, by the mode bits on the way.
func (l *launch) mayEnter(dir string) bool {
	if l.cred == nil {
		return unix.Access(dir, unix.X_OK) == nil
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || !l.mayUse(info) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

func (l *launch) mayUse(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	bits := stat.Mode & 7
	if stat.Uid == l.cred.Uid {
		bits = stat.Mode >> 6 & 7
	} else {
		for _, group := range append([]uint32{l.cred.Gid}, l.cred.Groups...) {
			if stat.Gid == group {
				bits = stat.Mode >> 3 & 7
			}
		}
	}
	return bits&1 != 0
}
