package fencing

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/proxy"
	"github.com/distsuper/distsuper/test/witness"
)

// patience is how long a test waits for what must happen soon, on a host that may be busy.
const patience = time.Minute

// What the processes of an agent's node are called, see cluster.Node.PIDs.
const (
	agentProcess    = "distsuperagent run"
	keeperProcess   = "distsuperagent keeper"
	guardianProcess = "distsuperagent guardian"
)

// world is a running cluster in the hands of a test.
type world struct {
	*cluster.Cluster
	t         *testing.T
	d1        *cluster.Node
	endpoint  string
	client    *client.Client
	sightings string
}

// newWorld starts a controller with binaries of a kind, on an etcd of its own or on the given endpoint. Everything
// that runs in the world gets env.
func newWorld(t *testing.T, programs *build.Folder, endpoint string, env ...string) *world {
	t.Helper()
	// A short path: sockets are below it.
	dir, err := os.MkdirTemp("", "dsf-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Cluster: cluster.New(dir, programs.Path(t)), t: t, endpoint: endpoint, sightings: filepath.Join(dir, "sightings")}
	w.Env = env
	t.Cleanup(func() {
		w.Close()
		if t.Failed() {
			w.showLogs()
		}
		os.RemoveAll(dir)
	})
	if endpoint != "" {
		w.setEtcd(endpoint)
		w.initialise()
	}
	d, err := w.Controller("d1")
	if err != nil {
		t.Fatal(err)
	}
	w.d1 = d
	w.must(d, "distsuperd", "start")
	if endpoint == "" {
		w.findEtcd(d)
	}
	w.client, err = client.Open(t.Context(), client.Config{Store: etcd.Config{Endpoints: []string{w.endpoint}}, Who: "tester@here"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.client.Close() })
	return w
}

func (w *world) setEtcd(endpoint string) { w.Etcd = "[etcd]\nendpoints = " + endpoint }

// initialise makes the key space on an etcd that is not distsuperd's own.
func (w *world) initialise() {
	w.t.Helper()
	kv, err := etcd.Open(w.t.Context(), etcd.Config{Endpoints: []string{w.endpoint}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer kv.Close()
	if _, err := store.Init(w.t.Context(), kv, store.NewKeys(""), "tester@here"); err != nil {
		w.t.Fatal(err)
	}
}

// findEtcd asks a distsuperd where its own etcd answers.
func (w *world) findEtcd(d *cluster.Node) {
	w.t.Helper()
	var s struct {
		Embedded struct{ Endpoint string } `json:"embedded_etcd"`
	}
	if err := json.Unmarshal([]byte(w.must(d, "distsuperd", "status", "--json")), &s); err != nil {
		w.t.Fatal(err)
	}
	w.endpoint = s.Embedded.Endpoint
	w.setEtcd(w.endpoint)
}

func (w *world) must(n *cluster.Node, program string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*patience)
	defer cancel()
	out, err := n.Must(ctx, program, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// machine starts an agent. With a proxy it reaches etcd through that only.
func (w *world) machine(name string, through *proxy.Proxy) *cluster.Node {
	w.t.Helper()
	if through != nil {
		defer w.setEtcd(w.endpoint)
		w.setEtcd("http://" + through.Addr())
	}
	m, err := w.Machine(name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.must(m, "distsuperagent", "start")
	return m
}

// holdsBy makes sure that a machine's keeper holds processes by cgroups, or that it does not.
func (w *world) holdsBy(n *cluster.Node, cgroups bool) {
	w.t.Helper()
	var s struct{ Keeper struct{ Containment string } }
	if err := json.Unmarshal([]byte(w.must(n, "distsuperagent", "status", "--json")), &s); err != nil {
		w.t.Fatal(err)
	}
	if got := s.Keeper.Containment; (got == "cgroup2") == cgroups {
		return
	} else if cgroups && got != "" {
		gate.Cannot(w.t, "cgroup v2 cannot be written here, processes are held by %s", got)
	}
	w.t.Fatalf("%s holds processes by %+v, with cgroups: %v", n.Name, s.Keeper, cgroups)
}

// proxy makes a way to etcd that can be cut.
func (w *world) proxy() *proxy.Proxy {
	if path, ok := strings.CutPrefix(w.endpoint, "unix://"); ok {
		return proxy.New(w.t, "unix", path)
	}
	return proxy.New(w.t, "tcp", strings.TrimPrefix(w.endpoint, "http://"))
}

// run makes a program of one process, which may run on the given machines: a witness that ignores TERM, with a
// grandchild of the same kind in a session of its own. It returns when the process runs. Nothing but its lease lets it live:
// see holdable.
func (w *world) run(name string, touchTimeout int, policy api.OnPartition, machines ...string) *subject {
	w.t.Helper()
	return w.create(name, touchTimeout, policy, api.OutageStop, machines...)
}

// holdable is run for a process that goes on without etcd while every controller promises to leave it alone.
func (w *world) holdable(name string, touchTimeout int, machines ...string) *subject {
	w.t.Helper()
	return w.create(name, touchTimeout, api.PartitionStop, api.OutageUnset, machines...)
}

func (w *world) create(name string, touchTimeout int, policy api.OnPartition, outage api.OnStoreOutage, machines ...string) *subject {
	w.t.Helper()
	s := &subject{world: w, name: name, touchTimeout: touchTimeout, dir: filepath.Join(w.sightings, name)}
	for _, part := range []string{mainPart, childPart} {
		if err := os.MkdirAll(filepath.Join(s.dir, part), 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	be := fmt.Sprintf("%s %s -ignore-term -beat 10ms %s/", self, witness.Role, s.dir)
	p := client.Program(name, fmt.Sprintf("setsid %s%s & exec %s%s", be, childPart, be, mainPart))
	p.Shell, p.Autostart, p.StartSecs, p.StopWaitSecs = true, true, 0, 1
	p.Machines, p.TouchTimeout, p.OnPartition = machines, touchTimeout, policy
	p.OnStoreOutage = outage
	if _, err := w.client.Create(w.t.Context(), p); err != nil {
		w.t.Fatal(err)
	}
	s.awaitRunning()
	return s
}

// look reads what the store says, and waits for its answer.
func (w *world) look() *client.Snapshot {
	w.t.Helper()
	var s *client.Snapshot
	eventually(w.t, func() (bool, string) {
		var err error
		s, err = w.client.Snapshot(w.t.Context())
		return err == nil, fmt.Sprint(err)
	})
	return s
}

// awaitLive waits until a machine is live, or is not.
func (w *world) awaitLive(machine string, live bool) {
	w.t.Helper()
	eventually(w.t, func() (bool, string) {
		m := w.look().Machine(machine)
		return m != nil && (m.Alive != nil) == live, fmt.Sprintf("%s should be live: %v; it is %+v", machine, live, m)
	})
}

// showLogs tells what the daemons said at last.
func (w *world) showLogs() {
	files, _ := filepath.Glob(filepath.Join(w.Dir, "*", ".distsuper", "*.log"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && !strings.Contains(file, "etcd") {
			rel, _ := filepath.Rel(w.Dir, file)
			w.t.Logf("--- %s\n%s", rel, text[max(0, len(text)-6000):])
		}
	}
}

// eventually waits for a condition, which tells what it saw instead.
func eventually(t *testing.T, ok func() (bool, string)) {
	t.Helper()
	within(t, patience, ok)
}

func within(t *testing.T, limit time.Duration, ok func() (bool, string)) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		is, saw := ok()
		if is {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", limit, saw)
		}
	}
}

// in is the world as a subtest sees it.
func (w *world) in(t *testing.T) *world {
	c := *w
	c.t = t
	return &c
}
