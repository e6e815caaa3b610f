package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
)

func identity(t *testing.T, name string) mtls.Identity {
	t.Helper()
	id, err := mtls.LoadIdentity(filepath.Join(t.TempDir(), "id.pem"), name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// only lets one caller in.
func only(id mtls.Identity) mtls.Verify {
	return func(_ context.Context, cert *x509.Certificate) error {
		if !cert.Equal(id.Cert.Leaf) {
			return errors.New("somebody else")
		}
		return nil
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// running calls serve until the test ends and then waits for it.
func running(t *testing.T, serve func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
}

// fleet is a controller that a caller may use, and the agent of m1 that knows the controller only.
type fleet struct {
	addr               string
	caller, controller mtls.Identity
	health             Health
	stopped            string // by whom
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{caller: identity(t, "ann@desk"), controller: identity(t, "controller d1"), health: Health{ID: "d1", Healthy: true}}
	agent := identity(t, "machine m1")
	al, cl := listen(t), listen(t)
	f.addr = cl.Addr().String()
	log := zaptest.NewLogger(t)
	agentHandler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == rpc.PathLog {
			if part, err := rpc.LogRange(r); err == nil && part.From != nil {
				logstream.Start{Position: part.From.Forward(3), Gap: 3}.SetHeader(w.Header())
			}
			io.WriteString(w, "first\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		if r.URL.Path == rpc.PathDaemon {
			fmt.Fprint(w, `{"program":"distsuperagent"}`)
			return
		}
		fmt.Fprintf(w, `{"machine":%q,"problem":%q}`, r.URL.Query().Get("machine"), rpc.Caller(r))
	})
	running(t, func(ctx context.Context) error {
		return rpc.Serve(ctx, tls.NewListener(al, mtls.ServerConfig(agent.Cert, only(f.controller))), agentHandler, log)
	})
	handler := Handler(Options{
		Health: func(context.Context) Health { return f.health },
		Machine: func(_ context.Context, name string) (api.MachineInfo, error) {
			switch name {
			case "m1":
				return api.MachineInfo{Name: name, API: al.Addr().String(), Fingerprint: agent.Fingerprint}, nil
			case "clone": // answers at m1's address, under another fingerprint
				return api.MachineInfo{Name: name, API: al.Addr().String(), Fingerprint: f.controller.Fingerprint}, nil
			case "new":
				return api.MachineInfo{Name: name}, nil
			}
			return api.MachineInfo{}, fmt.Errorf("machine %s: %w", name, rpc.ErrNotFound)
		},
		Daemon: rpc.DaemonServer{
			Daemon: func() rpc.Daemon { return rpc.Daemon{Program: "distsuperd"} },
			Stop:   func(by string) error { f.stopped = by; return nil },
		},
		Cert: f.controller.Cert, Log: log,
	})
	running(t, func(ctx context.Context) error {
		return Serve(ctx, cl, mtls.ServerConfig(f.controller.Cert, only(f.caller)), handler, log)
	})
	return f
}

func (f *fleet) client(t *testing.T, id mtls.Identity) *rpc.Client {
	c := rpc.NewClient(f.addr, mtls.ClientConfig(id.Cert, f.controller.Fingerprint))
	t.Cleanup(c.Close)
	return c
}

func TestCallerReachesAnAgentThroughTheController(t *testing.T) {
	f := newFleet(t)
	h, err := f.client(t, f.caller).Through("m1").Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h.Problem != "ann@desk through controller d1" {
		t.Errorf("the agent takes the caller for %q", h.Problem)
	}
	if h.Machine != "" {
		t.Errorf("the agent was asked for machine %q, which was for the controller", h.Machine)
	}
}

func TestFollowedLogPassesThroughAsItComes(t *testing.T) {
	f := newFleet(t)
	from := logstream.Position{File: "1-2-3@x.1+7", Offset: -5}
	log, err := f.client(t, f.caller).Through("m1").Log(t.Context(), "web", "stdout", logstream.Range{From: &from, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if log.Position != from.Forward(3) || log.Gap != 3 {
		t.Errorf("it begins at %+v, asked for %+v", log.Start, from)
	}
	piece := make([]byte, 16)
	if n, err := log.Read(piece); err != nil || string(piece[:n]) != "first\n" {
		t.Errorf("the first piece is %q, %v", piece[:n], err)
	}
}

func TestControllerAnswersForItselfUnlessAMachineIsNamed(t *testing.T) {
	f := newFleet(t)
	client := f.client(t, f.caller)
	for program, c := range map[string]*rpc.Client{"distsuperd": client, "distsuperagent": client.Through("m1")} {
		if d, err := c.Daemon(t.Context()); err != nil || d.Program != program {
			t.Errorf("%s answers as %+v, %v", program, d, err)
		}
	}
	if err := client.DaemonStop(t.Context()); err != nil || f.stopped != "ann@desk" {
		t.Errorf("it was stopped by %q, %v", f.stopped, err)
	}
	answer, err := http.Post("http://"+f.addr+rpc.PathDaemonStop, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("over plain HTTP the answer is %s", answer.Status)
	}
}

func TestNobodyElsePassesThroughTheController(t *testing.T) {
	f := newFleet(t)
	if _, err := f.client(t, identity(t, "ann@desk")).Through("m1").Health(t.Context()); err == nil {
		t.Error("a stranger passed")
	}
	answer, err := http.Get("http://" + f.addr + rpc.PathHealth + "?machine=m1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("over plain HTTP the answer is %s", answer.Status)
	}
}

func TestAgentThatCannotBeReachedIsSaidSo(t *testing.T) {
	f := newFleet(t)
	client := f.client(t, f.caller)
	for machine, want := range map[string]error{"none": rpc.ErrNotFound, "new": rpc.ErrUnavailable, "clone": rpc.ErrUnavailable} {
		if _, err := client.Through(machine).Health(t.Context()); !errors.Is(err, want) || !strings.Contains(err.Error(), machine) {
			t.Errorf("machine %s gives %v, want %v", machine, err, want)
		}
	}
	if _, err := client.Health(t.Context()); !errors.Is(err, rpc.ErrBadRequest) {
		t.Errorf("no machine gives %v, want ErrBadRequest", err)
	}
}

func TestHealthAnswersAnybodyAndItsStatusTellsIt(t *testing.T) {
	f := newFleet(t)
	for healthy, want := range map[bool]int{true: 200, false: 503} {
		f.health.Healthy = healthy
		answer, err := http.Get("http://" + f.addr + PathHealth)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != want || !strings.Contains(string(body), `"id":"d1"`) {
			t.Errorf("healthy %v gives %s: %s", healthy, answer.Status, body)
		}
	}
}
