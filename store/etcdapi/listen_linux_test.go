package etcdapi

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyItsOwnUserAndRootAreLetIn(t *testing.T) {
	for _, c := range []struct {
		uid, own int
		want     bool
	}{{1000, 1000, true}, {0, 1000, true}, {1000, 0, false}, {1001, 1000, false}} {
		if allowed(c.uid, c.own) != c.want {
			t.Errorf("uid %d at the socket of %d: %v, want %v", c.uid, c.own, !c.want, c.want)
		}
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed := make(chan net.Conn, 1)
	go func() {
		c, _ := net.Dial("unix", l.Addr().String())
		dialed <- c
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer func() { (<-dialed).Close() }()
	if uid, err := peer(conn); err != nil || uid != os.Geteuid() {
		t.Errorf("the other end is of uid %d (%v), want %d", uid, err, os.Geteuid())
	}
}
