//go:build unix

package ownership_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/ownership"
	"github.com/distsuper/distsuper/test/gate"
)

const stranger = 65534

// Each plant is what a stranger can do where root is about to keep its state; path is relative to the test's folder.
func TestEachPlantOfAStrangerIsFound(t *testing.T) {
	gate.Root(t)
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, dir string)
		want  string // part of the refusal; "" for none
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"the directory is made first", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/state", 0o755))
			must(t, os.Chown(dir+"/state", stranger, stranger))
		}, "/state belongs to uid 65534"},
		{"a link stands in the directory's place", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/roots", 0o700))
			must(t, os.Symlink(dir+"/roots", dir+"/state"))
			must(t, os.Lchown(dir+"/state", stranger, stranger))
		}, "/state belongs to uid 65534"},
		{"root's link leads to the stranger's folder", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/theirs", 0o755))
			must(t, os.Chown(dir+"/theirs", stranger, stranger))
			must(t, os.Mkdir(dir+"/theirs/state", 0o700))
			must(t, os.Symlink("theirs/../theirs/state", dir+"/state"))
		}, "/theirs belongs to uid 65534"},
		{"root's link leads to root's folder", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/roots", 0o700))
			must(t, os.Symlink("roots", dir+"/state"))
		}, ""},
		{"everybody may write the folder above", func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o777)) }, "may be written by everybody"},
		{"a group may write the folder above", func(t *testing.T, dir string) {
			must(t, os.Chown(dir, 0, stranger))
			must(t, os.Chmod(dir, 0o775))
		}, "may be written by group 65534"},
		{"the folder above is sticky", func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o777|fs.ModeSticky)) }, ""},
		{"everybody may write the directory", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/state", 0o700))
			must(t, os.Chmod(dir+"/state", 0o777))
		}, "/state may be written by everybody"},
		{"a link in the place of the embedded etcd", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/state", 0o700))
			must(t, os.Symlink(dir, dir+"/state/etcd"))
			must(t, os.Lchown(dir+"/state/etcd", stranger, stranger))
		}, "/state/etcd belongs to uid 65534"},
		{"a link of a former time in the place of the pid file", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/state", 0o700))
			must(t, os.Symlink("/etc/shadow", dir+"/state/distsuperagent.pid"))
		}, "/state/distsuperagent.pid is a link"},
		{"the stranger's file deep in it", func(t *testing.T, dir string) {
			must(t, os.MkdirAll(dir+"/state/etcd/tls", 0o700))
			must(t, os.WriteFile(dir+"/state/etcd/tls/ca.pem", nil, 0o600))
			must(t, os.Chown(dir+"/state/etcd/tls/ca.pem", stranger, stranger))
		}, "/state/etcd/tls/ca.pem belongs to uid 65534"},
		{"the keeper's link to a short socket", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/state", 0o700))
			must(t, os.Symlink("/run/distsuper/keeper-1.sock", dir+"/state/keeper.sock"))
		}, ""},
		{"links that go round", func(t *testing.T, dir string) {
			must(t, os.Symlink("state", dir+"/state"))
		}, "too many levels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.plant(t, dir)
			state := filepath.Join(dir, "state")
			err := ownership.CheckTree(state, 0)
			if c.want == "" && err != nil && !errors.Is(err, fs.ErrNotExist) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestAnOpenFileWithoutANameIsJudgedAlone(t *testing.T) {
	gate.Root(t)
	name := filepath.Join(t.TempDir(), "f")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := ownership.CheckFile(name, file, 0); err != nil {
		t.Error(err)
	}
	if err := file.Chmod(0o666); err != nil {
		t.Fatal(err)
	}
	if err := ownership.CheckFile(name, file, 0); err == nil {
		t.Error("a file that everybody may write is taken")
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if err := ownership.CheckFile("/dev/stdin", read, 0); err != nil {
		t.Errorf("a pipe: %v", err)
	}
}
