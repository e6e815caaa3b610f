//go:build linux

package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/statedir"
)

// ErrNotRunning says that nobody holds the pid file.
var ErrNotRunning = errors.New("not running")

// RunningError says that another process holds the pid file.
type RunningError struct {
	Name string
	Path string
	PID  int // 0 when it is in another pid namespace
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("another %s runs with this state directory (%s, pid file %s); stop it first, or give this one a state directory of its own",
		e.Name, pidText(e.PID), e.Path)
}

func pidText(pid int) string {
	if pid == 0 {
		return "in another pid namespace"
	}
	return fmt.Sprintf("pid %d", pid)
}

// Info is what a running daemon says of itself beside its pid file.
type Info struct {
	Name    string    `json:"name"`
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	HTTP    string    `json:"http,omitempty"`
	Log     string    `json:"log,omitempty"`
	Config  string    `json:"config,omitempty"`
	State   string    `json:"state_directory"`
}

// A Lock is this process's hold on a pid file. It lasts until Release or the process's end, and is
// not inherited by children.
type Lock struct {
	path string

	mu   sync.Mutex // guards what follows
	file *os.File
	info *Info // as published, nil before
}

// held are the pid files that this process holds: a POSIX lock goes when *any* descriptor of its
// file is closed, so nobody here may open one of them again.
var (
	heldMu sync.Mutex
	held   = map[string]bool{}
)

// PIDFile is where the daemon of that name has its pid file.
func PIDFile(stateDir, name string) string { return filepath.Join(stateDir, name+".pid") }

// Acquire makes the pid file and locks it; a holder there is already is a *RunningError. The
// directory is made, for this user only.
func Acquire(path string) (*Lock, error) {
	heldMu.Lock()
	defer heldMu.Unlock()
	if held[path] {
		return nil, &RunningError{Name: nameOf(path), Path: path, PID: os.Getpid()}
	}
	for end := time.Now().Add(endingTime); ; {
		l, err := acquire(path)
		var running *RunningError
		if errors.As(err, &running) && isEnding(running.PID) && time.Now().Before(end) {
			time.Sleep(endingTime / 500)
			continue
		}
		if err != nil {
			return nil, err
		}
		if l.Current() {
			held[path] = true
			return l, nil
		}
		l.file.Close() // who held it removed it, and ended
	}
}

// endingTime is how long the end of a killed process may take that still has the lock.
const endingTime = 5 * time.Second

// isEnding reports whether a process was killed and is on its way to its end: it has no memory any more, but its files may
// still be open, on a busy host for a while.
func isEnding(pid int) bool {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return pid > 0 && err == nil && len(args) == 0
}

func acquire(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the pid file: %w", err)
	}
	// Not flock: only a POSIX lock tells who holds it.
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(file.Fd(), unix.F_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		pid, _ := holder(file)
		file.Close()
		return nil, &RunningError{Name: nameOf(path), Path: path, PID: pid}
	}
	if err == nil {
		err = statedir.Retry(filepath.Dir(path), func() error {
			n, err := file.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
			return errors.Join(err, file.Truncate(int64(n)))
		})
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{path: path, file: file}, nil
}

// Current reports whether the file that is locked is still the one of its name.
func (l *Lock) Current() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.currentLocked()
}

func (l *Lock) currentLocked() bool {
	there, err := os.Stat(l.path)
	if err != nil {
		return false
	}
	ours, err := l.file.Stat()
	return err == nil && os.SameFile(there, ours)
}

// Intact reports whether everything is in its place by which Find finds this daemon.
func (l *Lock) Intact() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.info != nil {
		if _, err := os.Stat(infoFile(l.path)); err != nil {
			return false
		}
	}
	return l.currentLocked()
}

// Renew puts in its place what of the pid file, and of what is told beside it, was removed. It returns a *RunningError when another
// process holds the pid file now.
func (l *Lock) Renew() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.currentLocked() {
		anew, err := acquire(l.path)
		if err != nil {
			return err
		}
		l.file.Close() // of what was removed, where nobody looks for a lock any more
		l.file = anew.file
	}
	if l.info == nil {
		return nil
	}
	return l.publishLocked(*l.info)
}

func nameOf(path string) string { return strings.TrimSuffix(filepath.Base(path), ".pid") }

// Remove removes the pid file, which stays locked until Release: for a daemon that leaves nothing behind. Whoever has
// opened it and locks it later looks whether it is still there (Acquire).
func (l *Lock) Remove() error {
	if err := os.Remove(infoFile(l.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Remove(l.path)
}

// Release empties the pid file and lets go of it. After Remove what has its name, and what is told beside it, may be
// another's.
func (l *Lock) Release() {
	heldMu.Lock()
	defer heldMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.currentLocked() {
		os.Remove(infoFile(l.path))
	}
	l.file.Truncate(0)
	l.file.Close()
	delete(held, l.path)
}

// Publish writes what Find will tell of this daemon.
func (l *Lock) Publish(info Info) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	info.PID = os.Getpid()
	l.info = &info
	return l.publishLocked(info)
}

func (l *Lock) publishLocked(info Info) error {
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return fmt.Errorf("describe this daemon: %w", err)
	}
	name := infoFile(l.path)
	if err := statedir.WriteFile(name, append(text, '\n')); err != nil {
		return fmt.Errorf("describe this daemon: %w", err)
	}
	return nil
}

func infoFile(pidFile string) string { return strings.TrimSuffix(pidFile, ".pid") + ".json" }

// Find returns who holds the pid file, or ErrNotRunning. What the daemon has not published yet is
// empty.
func Find(pidFile string) (Info, error) {
	pid, err := find(pidFile)
	if err != nil {
		return Info{}, err
	}
	var info Info
	text, err := os.ReadFile(infoFile(pidFile))
	if err == nil && json.Unmarshal(text, &info) == nil && info.PID == pid {
		return info, nil
	}
	return Info{Name: nameOf(pidFile), PID: pid}, nil
}

// find returns the pid of the holder, 0 for one in another pid namespace.
func find(pidFile string) (int, error) {
	heldMu.Lock()
	defer heldMu.Unlock()
	if held[pidFile] {
		return os.Getpid(), nil
	}
	file, err := os.Open(pidFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotRunning
	}
	if err != nil {
		return 0, fmt.Errorf("open the pid file: %w", err)
	}
	defer file.Close()
	pid, locked := holder(file)
	if !locked {
		return 0, ErrNotRunning
	}
	return pid, nil
}

// holder asks the kernel who has the lock.
func holder(file *os.File) (pid int, locked bool) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, false
	}
	return int(lock.Pid), lock.Type != unix.F_UNLCK
}
