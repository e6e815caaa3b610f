// Package fulldisk makes small disks for tests, and fills them.
package fulldisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"
)

// Disk is a small file system at a directory.
type Disk struct {
	Dir  string
	Size int // in bytes
	// Files is how many files and directories it holds at most; 0 for any number.
	Files int
}

// New mounts a disk until the test ends, which only root can.
func New(t testing.TB, size, files int) Disk {
	t.Helper()
	gate.Root(t)
	d := Disk{Dir: filepath.Join(t.TempDir(), "disk"), Size: size, Files: files}
	if err := d.Mount(); err != nil {
		gate.Cannot(t, "no small disk can be mounted: %v", err)
	}
	t.Cleanup(d.Unmount)
	return d
}

// Mount makes the directory, and the disk there.
func (d Disk) Mount() error {
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		return err
	}
	options := fmt.Sprintf("size=%d,mode=700", d.Size)
	if d.Files > 0 {
		options += fmt.Sprintf(",nr_inodes=%d", d.Files+1) // one is the root's
	}
	return unix.Mount("small", d.Dir, "tmpfs", 0, options)
}

func (d Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Fill leaves not a byte.
func (d Disk) Fill() error {
	file, err := os.OpenFile(d.ballast(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for size := 1 << 20; size > 0; {
		if _, err := file.Write(make([]byte, size)); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				return err
			}
			size /= 2
		}
	}
	return nil
}

// Free gives the room back that Fill took.
func (d Disk) Free() error { return os.Remove(d.ballast()) }

// Unmount takes the disk away. What of it is in use goes with its last user.
func (d Disk) Unmount() { _ = unix.Unmount(d.Dir, unix.MNT_DETACH) } // what is still mounted ends with the host
