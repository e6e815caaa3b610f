package build

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Folder is the programs that the tests of a package run: those in DISTSUPER_TEST_BIN, or else some that are built when
// a test first asks for them. TestMain removes them.
type Folder struct {
	Names []string // of Everything
	Tags  string   // with which they are built, wherever DISTSUPER_TEST_BIN is

	once sync.Once
	dir  string
	temp bool
	err  error
}

// Path is where the programs are. It is for tests, and not for TestMain: what is looked at before the tests run is
// not looked at for them (see look).
func (f *Folder) Path(t testing.TB) string {
	t.Helper()
	f.once.Do(f.make)
	if f.err != nil {
		t.Fatal(f.err)
	}
	return f.dir
}

// Program is where one of them is.
func (f *Folder) Program(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(f.Path(t), name)
}

func (f *Folder) make() {
	if f.dir = os.Getenv("DISTSUPER_TEST_BIN"); f.dir != "" && f.Tags == "" {
		return
	}
	if f.dir, f.err = os.MkdirTemp("", "distsuper-bin-"); f.err != nil {
		return
	}
	f.temp = true
	// Others than we run them, too.
	if f.err = os.Chmod(f.dir, 0o755); f.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		f.err = Programs(ctx, f.dir, f.Tags, f.Names...)
	}
}

// Remove removes what was built.
func (f *Folder) Remove() {
	if f.temp {
		_ = os.RemoveAll(f.dir)
	}
}
