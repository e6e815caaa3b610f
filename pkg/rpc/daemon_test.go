package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
)

// told is what a daemon was asked to do.
type told struct {
	mu   sync.Mutex
	list []string
}

func (t *told) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, what)
}

func (t *told) has(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.list, what)
}

func daemonClient(t *testing.T, s DaemonServer) *Client {
	t.Helper()
	mux := http.NewServeMux()
	s.Mount(mux)
	c := newCluster(t, mux.ServeHTTP)
	return c.client(c.mint())
}

func TestDaemonTellsWhoItIsAndObeys(t *testing.T) {
	want := Daemon{Program: "distsuperd solo", PID: 4, Version: "1", Identifier: "supervisor", Log: "/d.log", Solo: true, File: "/d.conf"}
	asked := new(told)
	client := daemonClient(t, DaemonServer{
		Daemon: func() Daemon { return want },
		Log: func(_ context.Context, n int64, follow bool) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(fmt.Sprint(n, follow))), nil
		},
		Programs: func() (Programs, error) {
			return Programs{Programs: []api.Program{{Name: "web"}}, Warnings: []string{"w"}}, nil
		},
		Reload: func(by string) error { asked.add("reload by " + by); return nil },
		Stop:   func(by string) error { asked.add("stop by " + by); return nil },
	})
	if got, err := client.Daemon(t.Context()); err != nil || got != want {
		t.Errorf("it says %+v, %v", got, err)
	}
	log, err := client.DaemonLog(t.Context(), -1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); err != nil || string(text) != "-1 true" {
		t.Errorf("its log is %q, %v", text, err)
	}
	if p, err := client.DaemonPrograms(t.Context()); err != nil || len(p.Programs) != 1 || p.Programs[0].Name != "web" || len(p.Warnings) != 1 {
		t.Errorf("its programs are %+v, %v", p, err)
	}
	if err := errors.Join(client.DaemonReload(t.Context()), client.DaemonStop(t.Context())); err != nil {
		t.Error(err)
	}
	for _, what := range []string{"reload by ann@desk", "stop by ann@desk"} {
		if !asked.has(what) {
			t.Errorf("it was not asked for: %s", what)
		}
	}
}

func TestDaemonSaysWhyItDoesNotObey(t *testing.T) {
	refused := errors.New("d.conf: line 3: startsecs: soon is no number")
	client := daemonClient(t, DaemonServer{
		Daemon: func() Daemon { return Daemon{Program: "distsuperagent"} },
		Log: func(context.Context, int64, bool) (io.ReadCloser, error) {
			return nil, fmt.Errorf("%w: it goes to syslog", ErrNoLog)
		},
		Reload: func(string) error { return refused },
	})
	if _, err := client.DaemonLog(t.Context(), 10, false); !errors.Is(err, ErrNoLog) || !strings.Contains(err.Error(), "syslog") {
		t.Errorf("without a log it says %v", err)
	}
	if _, err := client.DaemonPrograms(t.Context()); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), "distsuperagent") {
		t.Errorf("without programs it says %v", err)
	}
	if err := client.DaemonReload(t.Context()); err == nil || !strings.Contains(err.Error(), refused.Error()) {
		t.Errorf("of a refused file it says %v", err)
	}
}
