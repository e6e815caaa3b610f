package privatesock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyOurUserAndRootAreLetInUnlessOthersHaveAccess(t *testing.T) {
	group := &Access{UID: 0, GID: 50, Mode: 0o770}
	for name, c := range map[string]struct {
		peer   peer
		own    int
		access *Access
		ok     bool
	}{
		"root at root's":                   {peer{}, 0, nil, true},
		"a user at his own":                {peer{uid: 1000}, 1000, nil, true},
		"root at a user's":                 {peer{}, 1000, nil, true},
		"a user at root's":                 {peer{uid: 1000}, 0, nil, false},
		"a user at another's":              {peer{uid: 1001}, 1000, nil, false},
		"group root is no access":          {peer{uid: 1000, gid: 0}, 0, nil, false},
		"one of the group":                 {peer{uid: 1000, gid: 50}, 0, group, true},
		"one of the group, among others":   {peer{uid: 1000, gid: 7, groups: []int{7, 50}}, 0, group, true},
		"one of another group":             {peer{uid: 1000, gid: 7, groups: []int{8}}, 0, group, false},
		"the group, which may not write":   {peer{uid: 1000, gid: 50}, 0, &Access{GID: 50, Mode: 0o750}, false},
		"everybody":                        {peer{uid: 1000, gid: 7}, 0, &Access{GID: 50, Mode: 0o777}, true},
		"everybody but the group":          {peer{uid: 1000, gid: 50}, 0, &Access{GID: 50, Mode: 0o707}, false},
		"whom the socket is given to":      {peer{uid: 1000, gid: 7}, 0, &Access{UID: 1000, GID: 50, Mode: 0o700}, true},
		"another than that":                {peer{uid: 1001, gid: 7}, 0, &Access{UID: 1000, GID: 50, Mode: 0o700}, false},
		"we, whatever the socket's mode":   {peer{uid: 1000, gid: 7}, 1000, &Access{UID: 1001, GID: 50, Mode: 0o600}, true},
		"root, whatever the socket's mode": {peer{}, 1000, &Access{UID: 1001, GID: 50}, true},
	} {
		if err := allow(c.peer, c.own, c.access); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrPeer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// accepted connects to a socket and takes the connection.
func accepted(t *testing.T, s *Socket) {
	t.Helper()
	dialed := make(chan error, 1)
	go func() {
		conn, err := net.Dial("unix", s.path)
		if err == nil {
			err = errors.Join(CheckPeer(conn), conn.Close())
		}
		dialed <- err
	}()
	conn, err := Guard(s, func(err error) { t.Error(err) }).Accept()
	if err := errors.Join(err, <-dialed); err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestOurOwnConnectionIsAcceptedAndALeftoverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "s")
	for range 2 {
		l, err := Listen(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		accepted(t, l)
		for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v, want the mode %v", name, info, err, want)
			}
		}
		l.l.Close() // as the end of a killed daemon does
	}
}

func TestASweptSocketIsMadeAnewAndGoesOnAccepting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "s")
	s, err := Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Current() {
		t.Error("it is not where it was made")
	}
	waiting := make(chan error, 1)
	go func() {
		conn, err := s.Accept()
		if err == nil {
			conn.Close()
		}
		waiting <- err
	}()
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if s.Current() {
		t.Error("it is where it was removed")
	}
	if err := s.Renew(); err != nil || !s.Current() {
		t.Fatalf("renewed: %v, there: %v", err, s.Current())
	}
	conn, err := net.Dial("unix", path)
	if err := errors.Join(err, <-waiting); err != nil {
		t.Fatal("the Accept that waited before: ", err)
	}
	conn.Close()
	accepted(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("closed, it is still there")
	}
	if err := s.Renew(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("renewed after its end: %v", err)
	}
}

func TestAClosedSocketLeavesTheOneThatTookItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "s")
	first, err := Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Close(); err != nil || !second.Current() {
		t.Errorf("%v; the second is there: %v", err, second.Current())
	}
}

func TestADirectoryThatOthersMayEnterIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(dir, "s"), nil); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("it says %v", err)
	}
	if _, err := Listen(filepath.Join(dir, "s"), &Access{GID: os.Getgid(), UID: os.Getuid(), Mode: 0o770}); err != nil {
		t.Errorf("for others who have access: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckDir(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("it says %v", err)
	}
}
