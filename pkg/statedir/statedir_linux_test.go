package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func reserved(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, reserveName))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestAWriteThatFindsTheDiskFullGivesUpTheReservePartByPart(t *testing.T) {
	dir := t.TempDir()
	if err := Keep(dir); err != nil {
		t.Fatal(err)
	}
	tries := 0
	err := Retry(dir, func() error {
		if tries++; tries < 4 {
			return fmt.Errorf("write: %w", unix.ENOSPC)
		}
		return nil
	})
	if err != nil || reserved(t, dir) != reserveSize-3*part {
		t.Errorf("after %d tries: %v, and %d bytes are left", tries, err, reserved(t, dir))
	}
	if err := Retry(dir, func() error { return unix.EDQUOT }); !errors.Is(err, unix.EDQUOT) || reserved(t, dir) != 0 {
		t.Errorf("without end: %v, and %d bytes are left", err, reserved(t, dir))
	}
	if err := WriteFile(filepath.Join(dir, "state"), []byte("x")); err != nil || reserved(t, dir) != reserveSize {
		t.Errorf("with room again: %v, and %d bytes are left", err, reserved(t, dir))
	}
}

func TestAnotherErrorCostsNothing(t *testing.T) {
	dir := t.TempDir()
	if err := Keep(dir); err != nil {
		t.Fatal(err)
	}
	if err := Retry(dir, func() error { return os.ErrPermission }); !errors.Is(err, os.ErrPermission) || reserved(t, dir) != reserveSize {
		t.Errorf("%v, and %d bytes are left", err, reserved(t, dir))
	}
}

func TestWithoutAReserveNoneIsMade(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(WriteFile(filepath.Join(dir, "state"), []byte("x")), Check(dir)); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestADirectoryThatCannotBeWrittenIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(filepath.Join(file, "state")); err == nil {
		t.Error("below a file it is said to be fine")
	}
}

func TestWhatAKilledDaemonLeftIsRemovedLater(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{".state-123": 2 * time.Hour, ".state-456": 0, ".state-old": 2 * time.Hour, "state-789": 2 * time.Hour} {
		path := filepath.Join(dir, name)
		then := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Keep(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{".state-456", ".state-old", reserveName, "state-789"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}
