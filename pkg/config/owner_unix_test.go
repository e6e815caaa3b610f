//go:build unix

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/distsuper/distsuper/test/gate"
)

func TestRootRefusesAFileThatOthersMayWrite(t *testing.T) {
	gate.Root(t)
	name := filepath.Join(t.TempDir(), FileName)
	for _, c := range []struct {
		mode     os.FileMode
		uid, gid int
		want     string
	}{
		{0o644, 0, 0, ""},
		{0o664, 0, 0, ""}, // root's group
		{0o640, 0, 1000, ""},
		{0o664, 0, 1000, "may be written by group 1000"},
		{0o666, 0, 0, "may be written by everybody"},
		{0o600, 1000, 0, "belongs to uid 1000"},
	} {
		if err := os.WriteFile(name, []byte("[etcd]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, c.uid, c.gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := readFile(name, 0)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("mode %04o, owner %d:%d gives %v, want %q", c.mode, c.uid, c.gid, err, c.want)
		}
		if _, err := readFile(name, 1000); err != nil {
			t.Errorf("a plain user may not read mode %04o: %v", c.mode, err)
		}
	}
}

func TestRootRefusesAnIncludedFileThatOthersMayWrite(t *testing.T) {
	gate.Root(t)
	w := newWorld(t)
	w.write(FileName, "[include]\nfiles = more.ini\n")
	if err := os.Chmod(w.write("more.ini", ""), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := w.load(Ctl); err == nil || !strings.Contains(err.Error(), "more.ini may be written by everybody") {
		t.Errorf("Load says %v", err)
	}
}

func TestRuntimeDirectoryIsHandedOverWithWhatIsInIt(t *testing.T) {
	gate.Root(t)
	file := filepath.Join(t.TempDir(), "d.conf")
	touch(t, file)
	runtime, err := MakeSoloRuntime(file, 65534)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	own, foreign := filepath.Join(runtime, "keeper.json"), filepath.Join(runtime, "trap")
	touch(t, own)
	if err := os.Lchown(own, 65534, -1); err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(filepath.Dir(runtime), "root's")
	touch(t, roots)
	t.Cleanup(func() { os.Remove(roots) })
	if err := os.Link(roots, foreign); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeSoloRuntime(file, 1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{runtime: 1, own: 1, roots: 0} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != want {
			t.Errorf("%s belongs to %d, want %d", path, uid, want)
		}
	}
	if _, err := os.Lstat(foreign); err == nil {
		t.Error("another name of a file of root's is handed over")
	}
}

// Whatever decides what root runs or writes belongs to root, or nothing begins.
func TestAStateDirectoryThatIsNotOursIsRefused(t *testing.T) {
	gate.Root(t)
	for _, program := range []Program{Distsuperd, Agent, Ctl} {
		for _, c := range []struct {
			name  string
			plant func(state string) error
			want  string
		}{
			{"none", func(string) error { return nil }, ""},
			{"a stranger's", func(state string) error { return errors.Join(os.Mkdir(state, 0o755), os.Chown(state, 65534, 65534)) }, "belongs to uid 65534"},
			{"an etcd of a stranger", func(state string) error {
				return errors.Join(os.Mkdir(state, 0o700), os.Symlink("/tmp", filepath.Join(state, "etcd")), os.Lchown(filepath.Join(state, "etcd"), 65534, 65534))
			}, "etcd belongs to uid 65534"},
			{"in a folder that everybody may write", func(state string) error { return os.Chmod(filepath.Dir(state), 0o777) }, "may be written by everybody"},
		} {
			w := newWorld(t)
			w.write(FileName, "")
			if err := c.plant(filepath.Join(w.cwd, StateName)); err != nil {
				t.Fatal(err)
			}
			_, err := w.load(program)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s, %s: %v, want %q", program, c.name, err, c.want)
			}
		}
	}
}

func TestAFileThatNobodyNamedMustBeOurs(t *testing.T) {
	gate.Root(t)
	w := newWorld(t)
	name := w.write(FileName, "")
	if err := checkFound(name, 1000); err != nil {
		t.Errorf("root's: %v", err)
	}
	if err := os.Chown(name, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := checkFound(name, 1000); err == nil || !strings.Contains(err.Error(), "-c "+name) {
		t.Errorf("another user's: %v", err)
	}
	if err := checkFound(name, 65534); err != nil {
		t.Errorf("one's own: %v", err)
	}
}
