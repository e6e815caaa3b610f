package embedded

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// LockedError says that another process holds the lock of the directory.
type LockedError struct {
	Dir Dir
	PID int // 0 when it has not written it yet
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("an embedded etcd already runs in %s (pid %d)", e.Dir, e.PID)
}

// Lock makes this process the etcd of the directory, for as long as it lives, and writes its pid and addresses
// down. It fails with a *LockedError when another one is.
func (d Dir) Lock(cfg Config) error {
	f, err := os.OpenFile(d.PidFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open pid file: %w", err)
	}
	// Whoever asks whether it is locked holds it for a moment, so the first refusal may be one of those.
	for range 20 {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			pid, _, _ := d.holder()
			return &LockedError{Dir: d, PID: pid}
		}
		return fmt.Errorf("lock %s: %w", d.PidFile(), err)
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"+cfg.addresses()+"\n"), 0); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	locked = append(locked, f)
	return nil
}

// LockIntact reports whether the lock that this process took last is still in its place.
func (d Dir) LockIntact() bool {
	there, err := os.Lstat(d.PidFile())
	if err != nil || len(locked) == 0 {
		return false
	}
	ours, err := locked[len(locked)-1].Stat()
	return err == nil && os.SameFile(there, ours)
}

// locked keeps the files open; the kernel unlocks them at the end of the process, however that comes.
var locked []*os.File

// holder tells who holds the lock. held with pid 0 is one that has not written its pid yet.
func (d Dir) holder() (pid int, held bool, err error) {
	f, err := os.OpenFile(d.PidFile(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("open pid file: %w", err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return 0, false, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return 0, false, fmt.Errorf("look at the lock of %s: %w", d.PidFile(), err)
	}
	b, err := os.ReadFile(d.PidFile())
	if err != nil {
		return 0, true, fmt.Errorf("read pid file: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err = strconv.Atoi(first)
	if err != nil || syscall.Kill(pid, 0) == syscall.ESRCH {
		return 0, true, nil // of the one before; the holder has not written its own yet
	}
	return pid, true, nil
}

// Running reports whether an embedded etcd runs in the state directory.
func Running(stateDir string) bool {
	d, err := DirOf(stateDir)
	if err != nil {
		return false
	}
	_, held, err := d.holder()
	return held && err == nil
}

// private makes sure that a directory is ours alone.
func private(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("directory for sockets: %w", err)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !st.IsDir() || !ok || int(sys.Uid) != os.Getuid() {
		return fmt.Errorf("directory for sockets %s: not a directory of our own; remove it or set XDG_RUNTIME_DIR", dir)
	}
	if st.Mode().Perm() != 0o700 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}
