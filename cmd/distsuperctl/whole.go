package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeWhole writes a file as a whole or not at all, also when the disk is full, and readable by its owner only. Without force it never
// replaces one.
func writeWhole(name string, force bool, write func(io.Writer) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // has mode 0600
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // fails after a rename, as it should
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if info, serr := f.Stat(); serr == nil {
		size = info.Size()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = giveName(f.Name(), name, force)
	}
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	return size, nil
}

// giveName gives a file its name, which with force may be another's.
func giveName(from, name string, force bool) error {
	if !force {
		switch err := os.Link(from, name); { // unlike a rename, it replaces nothing
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist):
			return errors.New("it already exists; --force overwrites it")
		}
		if _, err := os.Lstat(name); err == nil { // a file system without links
			return errors.New("it already exists; --force overwrites it")
		}
	}
	return os.Rename(from, name)
}
