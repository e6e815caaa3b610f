package mainlog

import (
	"errors"
	"fmt"
	"os"

	"github.com/distsuper/distsuper/agentd/keeper/logs"
)

// rotating is a file that is moved to .1, .2 ... when it has grown to a size, as supervisord does it: after a write.
type rotating struct {
	path    string
	max     int64
	backups int
	file    *os.File
	size    int64
	regular bool // a file whose name is ours to move
	half    bool // the last line was cut off, by a full disk
}

func openRotating(path string, max int64, backups int) (*rotating, error) {
	r := &rotating{path: path, max: max, backups: backups}
	return r, r.reopen()
}

func (r *rotating) reopen() error {
	file, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if r.file != nil {
		r.file.Close()
	}
	r.file, r.size, r.regular = file, info.Size(), info.Mode().IsRegular() && !logs.IsStream(r.path)
	return nil
}

func (r *rotating) write(line string) error {
	if r.half { // what was cut off stands alone
		if _, err := r.file.WriteString("\n"); err != nil {
			return err
		}
		r.half = false
	}
	n, err := r.file.WriteString(line)
	r.size += int64(n)
	r.half = err != nil && n > 0
	if err == nil && r.max > 0 && r.regular && r.size >= r.max {
		return r.rotate()
	}
	return err
}

func (r *rotating) rotate() error {
	if r.backups <= 0 {
		r.size = 0
		return r.file.Truncate(0)
	}
	// The next one is made first: where that is not possible, as on a full disk, everything stays as it is.
	next, err := os.OpenFile(r.path+".next", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer next.Close() // it is opened again by its name
	for i := r.backups - 1; i >= 0; i-- {
		from := r.path
		if i > 0 {
			from = fmt.Sprintf("%s.%d", r.path, i)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", r.path, i+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(r.path+".next", r.path); err != nil {
		return err
	}
	return r.reopen()
}
