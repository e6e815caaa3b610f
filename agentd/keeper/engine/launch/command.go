package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// resolveCommand splits the command and finds its file: a name with a slash as it is, from the keeper's
// directory, another one in path.
func (h Host) resolveCommand(l *Plan, p api.Process, vars ini.Vars, path string) error {
	command, err := expand("command", p.Command, vars)
	if err != nil {
		return err
	}
	if p.Shell {
		l.Argv = []string{"/bin/sh", "-c", command}
	} else if l.Argv, err = ini.Split(command); err != nil {
		return refuse("%s", supervisor.CantParse(command, err))
	}
	if len(l.Argv) == 0 || l.Argv[0] == "" {
		return refuse("%s", supervisor.CommandEmpty)
	}
	for _, arg := range l.Argv {
		if strings.Contains(arg, "\x00") {
			return refuse("%s", supervisor.CantParse(command, "it has a NUL character"))
		}
	}
	l.Path = h.find(l.Argv[0], path)
	return checkCommand(l.Argv[0], l.Path)
}

// find returns the file that a command's first word means. Of a name that is in no directory
// of path the name itself is returned, which then cannot be found.
func (h Host) find(name, path string) string {
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
		return Refusal{api.FaultNoFile, supervisor.CantFind(name)}
	case info.IsDir():
		return Refusal{api.FaultNotExecutable, supervisor.IsDirectory(path)}
	case info.Mode().Perm()&0o111 == 0:
		return Refusal{api.FaultNotExecutable, supervisor.IsNotExecutable(path)}
	case unix.Access(path, unix.X_OK) != nil:
		return Refusal{api.FaultNotExecutable, supervisor.NoPermission(path)}
	}
	return nil
}

// ForkFailed names the failures of the fork itself; ok is false for what may have failed in the child. They are the machine's, unless it
// may have been a limit of the program's own user.
func (l *Plan) ForkFailed(errno syscall.Errno) (e core.Failure, ok bool) {
	switch errno {
	case unix.EAGAIN:
		e = core.Failure{Text: supervisor.TooManyProcesses(l.Name), Fault: api.FaultMachine}
		if l.Credential != nil {
			e.Fault = api.FaultSpawn
		}
		return e, true
	case unix.EMFILE, unix.ENFILE:
		return core.Failure{Text: supervisor.TooManyFiles(l.Name), Fault: api.FaultMachine}, true
	case unix.ENOMEM, unix.EBUSY, unix.ENODEV, unix.EOPNOTSUPP, unix.ENOSPC, unix.EINTR:
		return core.Failure{Text: supervisor.ForkFailed(l.Name, unix.ErrnoName(errno)), Fault: api.FaultMachine}, true
	}
	return core.Failure{}, false
}

// lacks are the errors of a machine that lacks something which every start needs.
var lacks = []syscall.Errno{unix.EAGAIN, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO}

// FaultOf is the fault of a start that failed before anything of the program itself was looked at.
func FaultOf(err error) api.Fault {
	var errno syscall.Errno
	if errors.As(err, &errno) && slices.Contains(lacks, errno) {
		return api.FaultMachine
	}
	return api.FaultSpawn
}

// Explain finds out what failed in the child, whose only word is an error number: the set-up goes on in the
// order credentials, directory, command. It reads files.
func (l *Plan) Explain(errno syscall.Errno) core.Failure {
	name := unix.ErrnoName(errno)
	if l.Credential != nil && errno == unix.EPERM {
		return core.Failure{Text: supervisor.CantSetuid(int(l.Credential.Uid), name), Refused: true, InChild: true}
	}
	if l.Dir != "" {
		info, err := os.Stat(l.Dir)
		if err != nil || !info.IsDir() || errno == unix.EACCES && !l.mayEnter(l.Dir) {
			return core.Failure{Text: supervisor.CantChdir(l.Dir, name), Refused: true, InChild: true}
		}
	}
	if no := new(Refusal); errors.As(checkCommand(l.Argv[0], l.Path), no) {
		return core.Failure{Text: no.Text, Fault: no.Fault, Refused: true}
	}
	passing := errno == unix.ETXTBSY || errno == unix.EIO
	return core.Failure{Text: supervisor.CantExec(l.Argv[0], name), Refused: !passing, InChild: true}
}

// mayEnter reports whether the program's user may go into a directory, by the mode bits on the way.
func (l *Plan) mayEnter(dir string) bool {
	if l.Credential == nil {
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

func (l *Plan) mayUse(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	bits := stat.Mode & 7
	if stat.Uid == l.Credential.Uid {
		bits = stat.Mode >> 6 & 7
	} else {
		for _, group := range append([]uint32{l.Credential.Gid}, l.Credential.Groups...) {
			if stat.Gid == group {
				bits = stat.Mode >> 3 & 7
			}
		}
	}
	return bits&1 != 0
}
