package rpc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/distsuper/distsuper/pkg/quiet"
)

func TestABodyThatDoesNotComeHoldsNoConnection(t *testing.T) {
	const timeout = 200 * time.Millisecond
	ended := make(chan error, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /read", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	})
	mux.HandleFunc("POST /refuse", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("POST /follow", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		select { // longer than the deadline of the body
		case <-time.After(2 * timeout):
			fmt.Fprint(w, "more")
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(withBodyTimeout(mux, timeout))
	defer server.Close()
	send := func(path, body string, length int) *bufio.Reader {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, length, body)
		return bufio.NewReader(conn)
	}
	send("/read", "begun", 100)
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a body that does not come: %v", err)
	}
	if _, err := io.ReadAll(send("/refuse", "begun", 100)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a request that was answered without its body holds its connection")
	}
	res, err := http.ReadResponse(send("/follow", "all", 3), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); string(got) != "more" || err != nil {
		t.Errorf("an answer that takes longer than a body may: %q, %v", got, err)
	}
}

func TestConnectionsAreBoundedByPeerAndInAll(t *testing.T) {
	for name, c := range map[string]struct{ most, perPeer int }{"of one address": {100, 3}, "in all": {3, 100}} {
		t.Run(name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			core, said := observer.New(zap.WarnLevel)
			l := &limited{Listener: inner, most: c.most, perPeer: c.perPeer, log: newQuietLog(zap.New(core)), peers: map[string]int{}}
			accepted := make(chan net.Conn)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						close(accepted)
						return
					}
					accepted <- conn
				}
			}()
			dial := func() net.Conn {
				conn, err := net.Dial("tcp", inner.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				conn.SetReadDeadline(time.Now().Add(30 * time.Second))
				return conn
			}
			var first net.Conn
			for range 3 {
				dial()
				first = <-accepted
			}
			for range 20 {
				if _, err := dial().Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("a connection too many is kept")
				}
			}
			first.Close()
			first.Close() // counts once
			dial()
			second := <-accepted
			if _, err := dial().Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("one that was closed makes room for two")
			}
			second.Close()
			if n := said.Len(); n != 1 {
				t.Errorf("%d lines tell of it, want one a minute", n)
			}
		})
	}
}

func TestTroubleOfAPeerIsToldOnceAMinuteWithItsCount(t *testing.T) {
	core, said := observer.New(zap.WarnLevel)
	now := time.Unix(1000, 0)
	q := quietLogBy(zap.New(core), func() time.Time { return now })
	for i := range 1000 {
		fmt.Fprintf(q, "http: TLS handshake error from 10.0.0.9:%d: EOF\n", 1000+i)
	}
	fmt.Fprintln(q, "http: TLS handshake error from [::1]:7: EOF")
	now = now.Add(quiet.Least)
	fmt.Fprintln(q, "http: TLS handshake error from 10.0.0.9:1: EOF")
	var got []string
	for _, e := range said.AllUntimed() {
		got = append(got, fmt.Sprint(e.Message, e.ContextMap()))
	}
	want := []string{"http: TLS handshake error from 10.0.0.9: EOFmap[peer:10.0.0.9]", "http: TLS handshake error from ::1: EOFmap[peer:::1]",
		"http: TLS handshake error from 10.0.0.9: EOFmap[peer:10.0.0.9 times_since:999]"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it says\n%s", strings.Join(got, "\n"))
	}
}
