// Package statedir writes the small files by which daemons remember, so that a crash leaves the old one or the new one, and a
// full disk does not keep a daemon from working or from starting again.
//
// For a full disk a state directory has a reserve: a file whose space is allocated. A write that finds no room gives up a part of it
// and is tried again. The parts are small, since whoever filled the disk takes what is left over.
package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

const (
	reserveName = "reserve"
	// part is more than any of the files that are written with it is long.
	part        = 64 << 10
	reserveSize = 8 * part
	// spare is how much more than the reserve must be free before it is filled: a disk that is nearly full is for others.
	spare = 4
)

// Keep makes the reserve of a directory, or fills it, and removes what killed daemons left. A disk that has no room to spare is no error.
func Keep(dir string) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("find the free space on the disk of %s: %w", dir, err)
	}
	removeOld(dir)
	if Available(disk) < spare*reserveSize {
		return nil
	}
	file, err := os.OpenFile(filepath.Join(dir, reserveName), os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("make the reserve: %w", err)
	}
	err = unix.Fallocate(int(file.Fd()), 0, 0, reserveSize)
	if errors.Is(err, unix.EOPNOTSUPP) {
		_, err = file.WriteAt(make([]byte, reserveSize), 0)
	}
	if err = errors.Join(err, file.Close()); err != nil && !Full(err) {
		return fmt.Errorf("make the reserve: %w", err)
	}
	return nil
}

// temporary is the name of a file that replace makes.
var temporary = regexp.MustCompile(`^\..+-\d+$`)

// oldAfter is when a temporary file is nobody's any more.
const oldAfter = time.Hour

// removeOld removes the temporary files that killed daemons left.
func removeOld(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && temporary.MatchString(e.Name()) && time.Since(info.ModTime()) > oldAfter {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// Available is how many bytes of a disk may still be written by anybody.
func Available(disk unix.Statfs_t) uint64 { return disk.Bavail * uint64(disk.Bsize) }

// Full reports whether an error says that a disk, or what a user may have of it, is full.
func Full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Retry calls write, which writes into the directory, again with a part of the reserve each time that the disk is full.
func Retry(dir string, write func() error) error {
	for {
		err := write()
		if !Full(err) || !giveUp(filepath.Join(dir, reserveName)) {
			return err
		}
	}
}

// giveUp frees a part of the reserve, and reports whether there was one.
func giveUp(reserve string) bool {
	file, err := os.OpenFile(reserve, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	if err := file.Truncate(max(0, info.Size()-part)); err != nil {
		return false
	}
	return file.Sync() == nil // until then the disk may not give it away
}

// WriteFile replaces a file as a whole, readable by its owner only. A reserve that was made and is not whole is filled where there is room.
func WriteFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	switch err := Retry(dir, func() error { return replace(path, content) }); {
	case Full(err):
		return fmt.Errorf("write %s: %w; make room on its disk", path, err)
	case err != nil:
		return fmt.Errorf("write %s: %w", path, err)
	}
	if info, err := os.Stat(filepath.Join(dir, reserveName)); err == nil && info.Size() < reserveSize {
		return Keep(dir)
	}
	return nil
}

func replace(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Check reports why the files of a daemon could not be written into a directory: it is made, and written to, as far as its reserve does
// not answer for that.
func Check(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	if info, err := os.Stat(filepath.Join(dir, reserveName)); err == nil && info.Size() >= 2*part && unix.Access(dir, unix.W_OK) == nil {
		return nil
	}
	probe := filepath.Join(dir, "check")
	err := replace(probe, make([]byte, part))
	os.Remove(probe)
	if err != nil {
		return fmt.Errorf("the state directory %s cannot be written: %w", dir, err)
	}
	return nil
}
