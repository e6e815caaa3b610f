package solo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestAPidFileIsMadeAgainButNotThroughALink(t *testing.T) {
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "run", "solo.pid"), filepath.Join(dir, "elsewhere")
	f := pidfile(path)
	if f.Intact() {
		t.Error("it is there")
	}
	if err := f.Renew(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != fmt.Sprintf("%d\n", os.Getpid()) || !f.Intact() {
		t.Errorf("made again: %q, %v", text, err)
	}
	if err := errors.Join(os.Remove(path), os.Symlink(elsewhere, path)); err != nil {
		t.Fatal(err)
	}
	if !f.Intact() {
		t.Error("a link of somebody else's is to be replaced")
	}
	if err := f.Renew(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a link: %v", err)
	}
	if _, err := os.Lstat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it wrote where a link points: %v", err)
	}
}
