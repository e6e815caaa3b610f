package members

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
)

// freeAddress is one of loopback that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// knock makes connections to an address until the test ends.
func knock(t *testing.T, address string, how func(net.Conn)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
			if err != nil { // nobody listens yet, or any more
				continue
			}
			how(conn)
			conn.Close()
		}
	}()
}

func speakTLS(conn net.Conn) {
	_ = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake() // nobody answers
}

// A first host that lost all its state must not begin a second fleet beside the one whose members look for it, not even once they have
// stopped looking.
func TestAHostForWhichOthersLookBeginsNoEtcd(t *testing.T) {
	address := freeAddress(t)
	h, err := New(embedded.Config{StateDir: t.TempDir(), Name: "d1", Listen: freeAddress(t), Peer: address}, nil, embedded.Authorities{}, store.NewKeys(""), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("while they look", func(t *testing.T) {
		knock(t, address, speakTLS)
		if err := h.Prepare(t.Context()); err == nil || !strings.Contains(err.Error(), "init config --join --voter") {
			t.Errorf("it may begin one: %v", err)
		}
	})
	if err := h.Prepare(t.Context()); err == nil {
		t.Error("it may begin one after they stopped looking")
	}
	if m, err := h.dir.Membership(); err != nil || m.Elsewhere != address {
		t.Errorf("it remembers %+v, %v", m, err)
	}
	h.Config.Peer = freeAddress(t)
	if err := h.mayBegin(t.Context(), embedded.Membership{Elsewhere: address}, time.Millisecond); err != nil {
		t.Errorf("at another address it may not begin one: %v", err)
	}
}

// Whoever merely connects is no member.
func TestAHostThatIsLookedAtBeginsAnEtcd(t *testing.T) {
	for name, how := range map[string]func(net.Conn){
		"and says nothing":    func(net.Conn) {},
		"and says what it is": func(conn net.Conn) { fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			address := freeAddress(t)
			knock(t, address, how)
			if heard, err := listen(t.Context(), address, 200*time.Millisecond); heard != "" || err != nil {
				t.Errorf("it heard %q, %v", heard, err)
			}
		})
	}
}
