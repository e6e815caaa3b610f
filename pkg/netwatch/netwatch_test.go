//go:build linux

package netwatch

import (
	"context"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"
)

// The watch runs in a network namespace of its own, where nothing changes but by this test.
func TestAChangeOfAnAddressIsTold(t *testing.T) {
	gate.Root(t)
	if _, err := exec.LookPath("ip"); err != nil {
		gate.Cannot(t, "it takes ip (iproute2)")
	}
	runtime.LockOSThread() // for good: the thread ends with this goroutine, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		gate.Cannot(t, "this host lets nobody make a network namespace: %v", err)
	}
	ip := func(line string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	ip("link set lo up")
	ip("addr add 10.231.77.1/24 dev lo")

	events, err := open() // here, since it belongs to the namespace of its thread
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- watch(ctx, events, func() { told <- struct{}{} }) }()

	<-told                               // the first look
	ip("addr add 10.231.77.2/24 dev lo") // as a DHCP client does when it gets another one
	ip("addr del 10.231.77.1/24 dev lo")
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was told")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
