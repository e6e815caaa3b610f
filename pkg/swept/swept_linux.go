// Package swept notices when files of a running daemon are removed, as cleaners of temporary directories do, and has them
// recreated.
//
// A daemon is found by its sockets and its pid file. Once they are removed nobody can speak to it, and a second one can start
// beside it. The kernel tells of each removal (inotify), so nothing is looked at while nothing happens.
package swept

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/statedir"
)

// A File is one that has to be in its place as long as a daemon lives.
type File struct {
	Path string
	// Intact reports whether it is in its place, and the daemon's own.
	Intact func() bool
	// Renew makes it anew, with its directory, and takes the place of nothing that is another's.
	Renew func() error
}

// Copy is a file that does not change while the daemon runs; it is written anew as it is now.
func Copy(path string) (File, error) {
	text, err := os.ReadFile(path)
	return File{Path: path, Intact: func() bool {
		_, err := os.Lstat(path)
		return err == nil
	}, Renew: func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return statedir.WriteFile(path, text)
	}}, err
}

const (
	// settle is how long nothing must happen before files are made anew: a folder that is being removed would not go otherwise.
	settle = 300 * time.Millisecond
	// Files that cannot be made anew are tried again after retryFirst, then less and less often.
	retryFirst = time.Second
	retryMost  = time.Minute
)

// events are those of a file or directory itself, and not of what is in it: its link count, or its name, has changed.
const events = unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_DONT_FOLLOW

// Keep has files made anew, in their order, until ctx ends. A file is only made when all before it are
// intact. It tells of each file that was removed: err is nil once it has been made anew, else why it could not be; it is told again
// only when that has changed. The error of Keep says why removals cannot be noticed.
func Keep(ctx context.Context, files []File, tell func(path string, err error)) error {
	w, err := newWatch()
	if err != nil {
		return err
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer w.close()
	changed := make(chan struct{}, 1)
	reading.Go(func() { w.read(changed) })
	k := keeping{files: files, tell: tell, told: map[string]string{}}
	for {
		// Watched first and looked at then: what is removed meanwhile is seen by one of the two.
		w.add(files)
		made, whole := k.restore()
		if made {
			continue
		}
		var again <-chan time.Time
		if !whole {
			again = time.After(k.pause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-changed:
			if !settled(ctx, changed) {
				return nil
			}
		}
	}
}

// settled returns when nothing has happened for a while; false when ctx ended.
func settled(ctx context.Context, changed <-chan struct{}) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		case <-time.After(settle):
			return true
		}
	}
}

// keeping is what Keep remembers.
type keeping struct {
	files []File
	tell  func(path string, err error)
	told  map[string]string // the problem of each file that could not be made
	pause time.Duration     // before the next try
}

// restore makes what is missing, and reports whether it made anything, and whether all is there.
func (k *keeping) restore() (made, whole bool) {
	for _, f := range k.files {
		if f.Intact() {
			continue
		}
		if err := f.Renew(); err != nil {
			if k.told[f.Path] != err.Error() {
				k.told[f.Path] = err.Error()
				k.tell(f.Path, err)
			}
			k.pause = min(max(2*k.pause, retryFirst), retryMost)
			return made, false
		}
		delete(k.told, f.Path)
		k.tell(f.Path, nil)
		made = true
	}
	k.pause = 0
	return made, true
}

// watch is an inotify instance.
type watch struct {
	fd   int
	file *os.File
}

func newWatch() (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		if errors.Is(err, unix.EMFILE) {
			err = fmt.Errorf("%w (see the sysctl fs.inotify.max_user_instances)", err)
		}
		return nil, fmt.Errorf("watch for the removal of files: %w", err)
	}
	return &watch{fd, os.NewFile(uintptr(fd), "inotify")}, nil
}

// add watches the files and every directory above them. What is watched already stays so; what is missing is noticed otherwise.
func (w *watch) add(files []File) {
	for _, f := range files {
		for path := f.Path; ; path = filepath.Dir(path) {
			unix.InotifyAddWatch(w.fd, path, events)
			if path == filepath.Dir(path) {
				break
			}
		}
	}
}

// read tells of every event until the watch is closed.
func (w *watch) read(changed chan<- struct{}) {
	buf := make([]byte, 4096)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

func (w *watch) close() { w.file.Close() }
