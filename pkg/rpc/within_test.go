package rpc

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/mtls"
)

func TestClientGivesUpADaemonThatBeginsNoAnswerInTime(t *testing.T) {
	release := make(chan struct{})
	c := newCluster(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	if _, err := c.client(c.mint()).Within(100 * time.Millisecond).Health(t.Context()); !errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Errorf("a question: %v", err)
	}
	frozen, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes the connection, and nobody the request
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	silent := NewClient(frozen.Addr().String(), mtls.ClientConfig(c.mint(), "x")).Within(100 * time.Millisecond)
	if err := silent.Signal(t.Context(), "web", 1, "HUP"); !errors.Is(err, ErrSilent) {
		t.Errorf("a command: %v", err)
	}
}

// A log that has begun is not cut when the time passes that its beginning had.
func TestLimitIsMetOrPassesForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		late := func() { calls.Add(1) }
		met, passed, none := newLimit(time.Second, late), newLimit(time.Second, late), newLimit(0, late)
		time.Sleep(999 * time.Millisecond)
		met.met()
		time.Sleep(time.Hour)
		passed.met()
		none.met()
		if calls.Load() != 1 || met.passed() || !passed.passed() || none.passed() {
			t.Errorf("%d passed: %v, %v, %v", calls.Load(), met.passed(), passed.passed(), none.passed())
		}
	})
}
