package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/mtls"
)

// pins is what stands in etcd.
type pins struct {
	mu     sync.Mutex
	known  map[string]bool
	public []byte
	err    error
}

func (p *pins) Known(_ context.Context, fingerprint string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[fingerprint], p.err
}

func (p *pins) PublicKey(context.Context) ([]byte, error) { return p.public, p.err }

// cluster is a server with its trust, and the signing key that it believes in.
type cluster struct {
	t       *testing.T
	pins    *pins
	signing []byte
	server  mtls.Identity
	addr    string
}

func newCluster(t *testing.T, handler http.HandlerFunc) *cluster {
	t.Helper()
	c := &cluster{t: t, pins: &pins{known: map[string]bool{}}, server: identity(t, "machine m1")}
	var err error
	if c.pins.public, c.signing, err = mtls.NewSigningKey(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = mtls.ServerConfig(c.server.Cert, mtls.Trust(c.pins, nil))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	c.addr = server.Listener.Addr().String()
	return c
}

func identity(t *testing.T, name string) mtls.Identity {
	t.Helper()
	id, err := mtls.LoadIdentity(filepath.Join(t.TempDir(), "id.pem"), name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// mint makes a certificate for ann@desk.
func (c *cluster) mint() tls.Certificate {
	c.t.Helper()
	cert, err := mtls.MintClient(c.signing, "ann@desk")
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

func (c *cluster) client(cert tls.Certificate) *Client {
	client := NewClient(c.addr, mtls.ClientConfig(cert, c.server.Fingerprint))
	c.t.Cleanup(client.Close)
	return client
}

func health(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, `{"machine":"m1","problem":%q}`, Caller(r))
}

func TestPublishedDaemonIsLetInAndAnotherIsNot(t *testing.T) {
	c := newCluster(t, health)
	known, stranger := identity(t, "controller d1"), identity(t, "controller d1")
	c.pins.known[known.Fingerprint] = true
	if h, err := c.client(known.Cert).Health(t.Context()); err != nil || h.Machine != "m1" || h.Problem != "controller d1" {
		t.Errorf("the published daemon got %+v, %v", h, err)
	}
	if _, err := c.client(stranger.Cert).Health(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses our certificate") {
		t.Errorf("a stranger of the same name got %v", err)
	}
}

func TestDaemonOnASocketIsReachedByItsPath(t *testing.T) {
	server, err := mtls.NewIdentity("machine m1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	known := identity(t, "controller d1")
	trusted := &pins{known: map[string]bool{known.Fingerprint: true}}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, tls.NewListener(l, mtls.ServerConfig(server.Cert, mtls.Trust(trusted, nil))), http.HandlerFunc(health), zaptest.NewLogger(t))
	}()
	defer func() { cancel(); <-served }()
	c, err := Agents{Cert: known.Cert}.Client(api.MachineInfo{Name: "m1", API: Reach(l, nil), Fingerprint: server.Fingerprint})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if h, err := c.Health(t.Context()); err != nil || h.Machine != "m1" {
		t.Errorf("over the socket: %+v, %v", h, err)
	}
}

func TestCallerBehindAControllerIsNamedOnlyByControllers(t *testing.T) {
	c := newCluster(t, health)
	daemon := identity(t, "controller d1")
	c.pins.known[daemon.Fingerprint] = true
	for _, row := range []struct {
		cert tls.Certificate
		want string
	}{{daemon.Cert, "bob@desk through controller d1"}, {c.mint(), "ann@desk"}} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.addr+PathHealth, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(CallerHeader, "bob@desk")
		answer, err := c.client(row.cert).http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if !strings.Contains(string(body), fmt.Sprintf("%q", row.want)) {
			t.Errorf("the caller is %s, want %s", body, row.want)
		}
	}
}

func TestErrorsKeepTheirIdentityOverTheNetwork(t *testing.T) {
	for _, want := range []error{ErrNotFound, ErrNotRunning, ErrBadRequest, ErrUnavailable, ErrNoLog, nil} {
		c := newCluster(t, func(w http.ResponseWriter, r *http.Request) {
			err := errors.New("something else")
			if want != nil {
				err = fmt.Errorf("web: %w", want)
			}
			status, body := Answer(err)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"code":%q,"error":%q}`, body.Code, body.Text)
		})
		_, err := c.client(c.mint()).Processes(t.Context())
		switch {
		case want == nil:
			if err == nil || !strings.HasSuffix(err.Error(), "something else") || errors.Is(err, ErrNotFound) {
				t.Errorf("an error of no class came as %v", err)
			}
		case !errors.Is(err, want) || !strings.Contains(err.Error(), c.addr):
			t.Errorf("%v came as %v", want, err)
		}
	}
}

func TestNamesOfProcessesArriveAsTheyAre(t *testing.T) {
	for _, name := range []string{"g:web", "a/b", "..", "50% ?&#", "\u00fcber"} {
		c := newCluster(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"runs":%t}`, r.URL.Path == PathRuns && r.URL.Query().Get("process") == name && r.URL.Query().Get("token") == "7" && r.URL.Query().Get("machine") == "m/1")
		})
		runs, err := c.client(c.mint()).Through("m/1").Runs(t.Context(), name, 7)
		if err != nil || !runs {
			t.Errorf("%q arrived as another (%v)", name, err)
		}
	}
}

func TestFollowedLogArrivesPieceByPieceAndEndsWithItsReader(t *testing.T) {
	gone := make(chan struct{})
	c := newCluster(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		io.WriteString(w, "one\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	log, err := c.client(c.mint()).Log(t.Context(), "web", "stdout", logstream.Range{Last: 100, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 16)
	if n, err := log.Read(piece); err != nil || string(piece[:n]) != "one\n" {
		t.Errorf("the first piece is %q, %v", piece[:n], err)
	}
	log.Close()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the server did not see the reader leave")
	}
}

func TestAgentsRefusesAMachineWithoutAnAddress(t *testing.T) {
	if _, err := (Agents{}).Runs(t.Context(), api.MachineInfo{Name: "m1"}, "web", 1); err == nil || !strings.Contains(err.Error(), "m1") {
		t.Errorf("it says %v", err)
	}
}

func TestAgentsAsksTheMachinesAgent(t *testing.T) {
	c := newCluster(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"runs":true}`) })
	id := identity(t, "controller d1")
	c.pins.known[id.Fingerprint] = true
	info := api.MachineInfo{Name: "m1", API: c.addr, Fingerprint: c.server.Fingerprint}
	if runs, err := (Agents{Cert: id.Cert}).Runs(t.Context(), info, "web", 1); err != nil || !runs {
		t.Errorf("it says %v, %v", runs, err)
	}
}

func TestOnePortServesPlainHTTPAndTLS(t *testing.T) {
	c := newCluster(t, health) // for its trust
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain, secure := Split(l)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"ready":%t}`, r.TLS != nil) })
	var serving sync.WaitGroup
	server := &http.Server{Handler: handler}
	serving.Go(func() { server.Serve(plain) })
	serving.Go(func() {
		server.Serve(tls.NewListener(secure, mtls.ServerConfig(c.server.Cert, mtls.Trust(c.pins, nil))))
	})

	silent, err := net.Dial("tcp", l.Addr().String()) // keeps nobody waiting
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	answer, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if string(body) != `{"ready":false}` {
		t.Errorf("plain HTTP got %s", body)
	}
	client := NewClient(l.Addr().String(), mtls.ClientConfig(c.mint(), c.server.Fingerprint))
	defer client.Close()
	if h, err := client.Health(t.Context()); err != nil || !h.Ready {
		t.Errorf("TLS got %+v, %v", h, err)
	}
	server.Close()
	serving.Wait()
	if _, err := plain.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close, Accept says %v", err)
	}
	silent.SetReadDeadline(time.Now().Add(firstByteTimeout / 2))
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after Close, a caller who said nothing gets %v, want the end", err)
	}
}

func TestReachIsAnAddressThatOthersCanUse(t *testing.T) {
	every, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer every.Close()
	_, port, _ := net.SplitHostPort(every.Addr().String())
	if got := Reach(every, []string{"10.0.0.7", "10.1.0.7"}); got != "10.0.0.7:"+port {
		t.Errorf("a listener on every interface is reached at %s", got)
	}
	want := append(HostAddresses(), "127.0.0.1")[0]
	if got := Reach(every, nil); got != net.JoinHostPort(want, port) {
		t.Errorf("without addresses it is reached at %s, want the host's %s", got, want)
	}
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if got := Reach(one, []string{"10.0.0.7"}); got != one.Addr().String() {
		t.Errorf("a listener on one address is reached at %s", got)
	}
}

func TestServeEndsWithItsContextAndWithoutAnError(t *testing.T) {
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		plain, secure := Split(l)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		for _, half := range []net.Listener{plain, secure} {
			go func() { ended <- Serve(ctx, half, http.NotFoundHandler(), zaptest.NewLogger(t)) }()
		}
		answer, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Fatalf("Serve ended with %v", err)
			}
		}
		l.Close()
	}
}
