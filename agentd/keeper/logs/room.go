package logs

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/statedir"
)

// Room is what the AUTO logs of a machine may take of a disk that they share with its state. The zero Room is without bounds.
type Room struct {
	Together int64 // at most so many bytes in all files together
	Free     int64 // nothing is written while less is free
}

const (
	mostTogether = 10 << 30
	mostFree     = 64 << 20
	// leastShare is the least limit of a file, however many there are.
	leastShare = 64 << 10
)

// RoomOn is a tenth of the disk of a directory, at most 10 GB, and leaves a twentieth of the disk free, at most 64 MB.
func RoomOn(dir string) (Room, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return Room{}, fmt.Errorf("find the free space on the disk of %s: %w", dir, err)
	}
	size := int64(disk.Blocks) * int64(disk.Bsize)
	return Room{Together: min(size/10, mostTogether), Free: min(size/20, mostFree)}, nil
}

// share is the limit of one of so many files of which one is to be written up to max, 0 for no limit. All current files together have
// half of the room; the rest is for older ones.
func (r Room) share(most, files int64) int64 {
	if r.Together == 0 {
		return most
	}
	share := max(r.Together/(2*max(files, 1)), leastShare)
	if most <= 0 {
		return share
	}
	return min(most, share)
}

// check reports that too little is free on the disk of a directory.
func (r Room) check(dir string) error {
	if r.Free == 0 {
		return nil
	}
	var disk unix.Statfs_t
	if unix.Statfs(dir, &disk) != nil || int64(statedir.Available(disk)) >= r.Free {
		return nil // what is wrong with the directory, opening the file tells
	}
	return fmt.Errorf("its disk has less than %d MB free, which are reserved for the state of this machine", max(r.Free>>20, 1))
}

// logFile is one file in the directory of AUTO logs.
type logFile struct {
	name string
	size int64
	at   int64 // when it was last written
}

var oldLog = regexp.MustCompile(`\.log\.\d+$`)

// excess returns the oldest of the old files to be removed so that a tenth of the room is free for new ones, and what all others take.
func (r Room) excess(files []logFile) (remove []string, total int64) {
	slices.SortFunc(files, func(a, b logFile) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.name, a.name)) })
	for _, f := range files {
		total += f.size
	}
	for _, f := range files {
		if total <= r.Together/10*9 {
			break
		}
		if oldLog.MatchString(f.name) {
			remove = append(remove, f.name)
			total -= f.size
		}
	}
	return remove, total
}

// trim removes the oldest old files when AUTO logs have outgrown their room. The directory is only listed then: it may be large.
func (c *Collector) trim() {
	if c.auto.Room.Together == 0 || c.autoBytes <= c.auto.Room.Together {
		return
	}
	remove, total := c.auto.Room.excess(c.autoFiles())
	for _, name := range remove {
		if err := os.Remove(filepath.Join(c.auto.Dir, name)); err != nil {
			c.log.Warn("an old log cannot be removed", zap.String("file", name), zap.Error(err))
		}
	}
	c.autoBytes = total
}

// autoFiles lists the directory of AUTO logs.
func (c *Collector) autoFiles() []logFile {
	entries, err := os.ReadDir(c.auto.Dir)
	if err != nil {
		c.log.Warn("the directory of AUTO logs cannot be read", zap.Error(err))
		return nil
	}
	var files []logFile
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, logFile{e.Name(), info.Size(), info.ModTime().UnixNano()})
		}
	}
	return files
}
