package rpc

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBusyDefaultPortIsReplacedAndAGivenOneIsNot(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := Listen(taken.Addr().String(), true, "[distsuperagent] http"); err == nil || !strings.Contains(err.Error(), "[distsuperagent] http") {
		t.Errorf("a given address that is taken gives %v", err)
	}
	other, err := Listen(taken.Addr().String(), false, "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.Addr().String() == taken.Addr().String() {
		t.Error("two listeners have one address")
	}
}

func TestWhatListensOnLoopbackIsReachedFromThisHostAlone(t *testing.T) {
	for _, c := range []struct {
		addr, here string
		only       bool
	}{{"127.0.0.1:0", "127.0.0.1", true}, {":0", "127.0.0.1", false}} {
		l, err := net.Listen("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		host, _, err := net.SplitHostPort(ReachHere(l))
		if err != nil || host != c.here || HereOnly(l) != c.only {
			t.Errorf("%s: reached here at %s, by this host alone %v (%v)", c.addr, host, HereOnly(l), err)
		}
	}
}

// TestAnAddressThatAKilledDaemonStillHoldsIsWaitedFor: its sockets are closed some time after it is seen as dead.
func TestAnAddressThatAKilledDaemonStillHoldsIsWaitedFor(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := held.Addr().String()
	if _, err := TryListen(addr, true, "[a] http"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("a busy address was opened: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { held.Close() })
	l, err := Listen(addr, true, "[a] http")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
