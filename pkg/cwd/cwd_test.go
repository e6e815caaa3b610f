//go:build unix

package cwd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestADeletedDirectoryKeepsItsName(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "release")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if got := Path(); got != dir {
		t.Errorf("%s, want %s", got, dir)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if got := Path(); got != dir {
		t.Errorf("after its deletion %s, want %s", got, dir)
	}
}
