package privatesock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyOurUserAndRootAreLetIn(t *testing.T) {
	for _, c := range []struct {
		peer, own int
		ok        bool
	}{{0, 0, true}, {1000, 1000, true}, {0, 1000, true}, {1000, 0, false}, {1001, 1000, false}} {
		if err := allow(c.peer, c.own); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrPeer) {
			t.Errorf("uid %d at the socket of uid %d: %v", c.peer, c.own, err)
		}
	}
}

func TestOurOwnConnectionIsAcceptedAndALeftoverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "s")
	for range 2 {
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*guarded).Listener.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed daemon leaves it
		dialed := make(chan error, 1)
		go func() {
			conn, err := net.Dial("unix", path)
			if err == nil {
				err = errors.Join(CheckPeer(conn), conn.Close())
			}
			dialed <- err
		}()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(<-dialed, conn.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want the mode %v", name, info, err, want)
		}
	}
}

func TestADirectoryThatOthersMayEnterIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(dir, "s")); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("it says %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckDir(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("it says %v", err)
	}
}
