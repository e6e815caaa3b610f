package logs

import (
	"slices"

	"golang.org/x/sys/unix"
)

// mistakes are the errors of a log file that no waiting ends: somebody has to mend the path, or what stands there.
var mistakes = []unix.Errno{unix.EISDIR, unix.ENOTDIR, unix.ELOOP, unix.ENAMETOOLONG, unix.ENOENT, unix.EACCES, unix.EPERM, unix.EROFS,
	unix.ENXIO, unix.EINVAL}

// Unusable says why nothing can ever be written to a log file as things stand, such as EISDIR for a folder. It is 0 for a
// file that can be written, or only not now: on a full disk output waits. A file that is not there is made.
func (a Auto) Unusable(path string) unix.Errno {
	if why, ok := a.try(cleanPath(path)).(unix.Errno); ok && slices.Contains(mistakes, why) {
		return why
	}
	return 0
}

// try opens a regular file. What is none is not opened: its reader would take the closing for the end.
func (a Auto) try(path string) error {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	_, ours := standardStreams[path]
	switch kind := st.Mode & unix.S_IFMT; {
	case ours || err == unix.ENOENT && IsStream(path) || err != nil && err != unix.ENOENT:
		return err
	case err == nil && kind == unix.S_IFDIR:
		return unix.EISDIR
	case err == nil && kind == unix.S_IFSOCK:
		return unix.ENXIO
	case err == nil && kind != unix.S_IFREG:
		return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS)
	}
	fd, err := a.open(path, unix.O_WRONLY)
	if err == nil {
		unix.Close(fd)
	}
	return err
}
