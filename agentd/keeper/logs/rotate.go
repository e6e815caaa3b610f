package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// MaxLine is how far past its limit a file may grow to keep a line in one piece.
const MaxLine = 1 << 20

// cut decides how much of data goes into a file of this size and limit, and whether the file is rotated
// after that. midLine tells that the file does not end at a line end. A file that is just full is rotated only when
// more comes, so that the current file is never without its last line.
func cut(data []byte, size, limit int64, midLine bool) (n int, rotate bool) {
	room := limit - size
	if limit <= 0 || int64(len(data)) <= room {
		return len(data), false
	}
	if room > 0 {
		if i := bytes.LastIndexByte(data[:room], '\n'); i >= 0 {
			return i + 1, true
		}
	}
	if size > 0 && !midLine {
		return 0, true
	}
	most := max(room+MaxLine, 0)
	if i := bytes.IndexByte(data, '\n'); i >= 0 && int64(i+1) <= most {
		return i + 1, i+1 < len(data)
	}
	if int64(len(data)) <= most {
		return len(data), false
	}
	return int(most), true
}

// rotateFiles moves path to path.1, path.1 to path.2 and so on, up to backups; with none it removes path. Files
// above the first free number stay where they are, so a rotation that failed half way and is repeated loses
// nothing. A file that is already gone is no error.
func rotateFiles(path string, backups int) error {
	if backups <= 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the full log: %w", err)
		}
		return nil
	}
	free := 1
	for free < backups && exists(backup(path, free)) {
		free++
	}
	for i := free; i >= 1; i-- {
		from := backup(path, i-1)
		if err := os.Rename(from, backup(path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("rotate log: %w", err)
		}
	}
	return nil
}

// backup is the name of the i-th old file, 0 being the current one.
func backup(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
