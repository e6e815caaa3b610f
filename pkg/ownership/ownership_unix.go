//go:build unix

package ownership

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mostLinks is how many links the way to a file may have, as for the kernel.
const mostLinks = 40

// CheckFile looks at an open file that has this name, and at the way to it. What is no file belongs to whoever opened it: a
// pipe, a terminal. One without a name any more is judged alone.
func CheckFile(name string, file *os.File, euid int) error {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if err := judge(entryOf(name, info), euid); err != nil {
		return err
	}
	if err := CheckPath(name, euid); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// CheckPath looks at a file or directory and the way to it for the user euid. It returns an *UntrustedError for what
// another user has a say in, and an fs.ErrNotExist for what is not there; the way up to that is fine then.
func CheckPath(path string, euid int) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	done, links := "/", 0
	if err := checkEntry(done, euid); err != nil {
		return err
	}
	for way := split(abs); len(way) > 0; {
		at := filepath.Join(done, way[0])
		way = way[1:]
		if err := checkEntry(at, euid); err != nil {
			return err
		}
		target, err := os.Readlink(at)
		if err != nil { // it is no link
			done = at
			continue
		}
		if links++; links > mostLinks {
			return &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			done = "/"
		}
		way = append(split(target), way...)
	}
	return nil
}

// ReadableByAll reports whether every user of this machine may read a file, as far as its own permissions go. Of what cannot be
// looked at it says no.
func ReadableByAll(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}

// Owner is the user whose file it is; ok is false for one that is not there.
func Owner(path string) (uid int, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	return entryOf(path, info).uid, true
}

// split takes a path apart. ".." stays: filepath.Join resolves it where it stands, behind links that are resolved already.
func split(path string) (parts []string) {
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}

// checkEntry looks at one entry. Whoever could replace it has been looked at before, so nothing changes between two looks.
func checkEntry(path string, euid int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return judge(entryOf(path, info), euid)
}

func entryOf(path string, info fs.FileInfo) entry {
	st := info.Sys().(*syscall.Stat_t) // so it is on every Unix
	return entry{path: path, mode: info.Mode(), uid: int(st.Uid), gid: int(st.Gid)}
}

// CheckTree is CheckPath for a directory and all that is in it. A link in it is refused, whosever it is, but the one at
// name.sock by which a keeper with a long path is found: no daemon makes another.
func CheckTree(path string, euid int) error {
	if err := CheckPath(path, euid); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return filepath.WalkDir(real, func(at string, e fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = e.Info()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile: a daemon runs here
			return nil
		case err != nil:
			return err
		}
		if err := judge(entryOf(at, info), euid); err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 && filepath.Ext(at) != ".sock" {
			return &UntrustedError{at, "is a link, which no daemon makes there; remove it"}
		}
		return nil
	})
}
