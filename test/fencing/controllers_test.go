package fencing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/proxy"
	"github.com/distsuper/distsuper/test/witness"
)

const controllerProcess = "distsuperd run"

// promisers is a world with three controllers and two machines. A process runs on m1, which reaches etcd by a proxy: cut off from etcd,
// it goes on by promise.
type promisers struct {
	*world
	etcd   *etcdproc.Cluster
	proxy  *proxy.Proxy
	d2, d3 *cluster.Node // which listen where they did before, unlike d1
	web    *subject
	life   life
}

func newPromisers(t *testing.T) *promisers {
	t.Helper()
	server := etcdproc.Start(t, 1)
	p := &promisers{etcd: server, world: newWorld(t, &fenced, "http://"+server.Members[0].Client)}
	p.proxy = p.world.proxy()
	p.d2, p.d3 = p.controller("d2"), p.controller("d3")
	p.machine("m1", p.proxy)
	p.machine("m2", nil)
	p.web = p.holdable("web", 3, "m1", "m2")
	if c, _ := p.web.last(); c.Machine != "m1" {
		if err := p.move(p.web, "m1"); err != nil {
			t.Fatal(err)
		}
	}
	p.registered("d2", true)
	p.registered("d3", true)
	p.life = p.web.life()
	return p
}

// controller starts one that listens at a port of its own, so that it is found there again, and waits until it is registered.
func (p *promisers) controller(name string) *cluster.Node {
	p.t.Helper()
	port, err := cluster.FreePort("127.0.0.1")
	if err != nil {
		p.t.Fatal(err)
	}
	d, err := p.Node(name, fmt.Sprintf("[distsuperd]\nid = %s\nhttp = 127.0.0.1:%d\n", name, port))
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(d, "distsuperd", "start")
	p.registered(name, false)
	eventually(p.t, func() (bool, string) { // its entry may stand before it knows
		log, err := os.ReadFile(filepath.Join(d.Dir, ".distsuper", "distsuperd.log"))
		return strings.Contains(string(log), "member registered"), fmt.Sprintf("%s does not know that it is registered (%v)", name, err)
	})
	return d
}

// registered waits until a controller is registered, or even a member.
func (p *promisers) registered(name string, member bool) {
	p.t.Helper()
	eventually(p.t, func() (bool, string) {
		res, err := p.client.KV().Range(p.t.Context(), store.Range{Key: store.NewKeys("").Controller(name)})
		if err != nil || len(res.Entries) == 0 {
			return false, fmt.Sprintf("%s has no entry (%v)", name, err)
		}
		d, err := store.Decode[api.Controller](res.Entries[0])
		return err == nil && (d.Member || !member), fmt.Sprintf("%s is %+v (%v)", name, d, err)
	})
}

// kill kills a controller, and restart starts it again; it need not be ready, as it is not without etcd.
func (p *promisers) kill(d *cluster.Node) {
	p.t.Helper()
	p.signal(d, unix.SIGKILL, controllerProcess)
	eventually(p.t, func() (bool, string) {
		left := d.PIDs(controllerProcess)
		return len(left) == 0, fmt.Sprintf("%v is there", left)
	})
}

func (p *promisers) restart(d *cluster.Node) {
	p.t.Helper()
	p.kill(d)
	d.Run(p.t.Context(), "distsuperd", "start", "--timeout", "1ms")
}

// movedOnce waits until the process runs on m2, and nothing of the old copy lives beside it.
func (p *promisers) movedOnce(after int64) {
	p.t.Helper()
	next := p.web.awaitSuccessor(after)
	if next.Machine != "m2" {
		p.t.Errorf("it runs on %s", next.Machine)
	}
	old := p.life.copy
	for _, c := range p.web.read(mainPart) { // read again: it lived on
		if c.Start == old.Start {
			old = c
		}
	}
	p.t.Logf("the old copy ended after %v, the next one began after %v", time.Duration(old.Last-after).Round(time.Millisecond),
		time.Duration(next.Start-after).Round(time.Millisecond))
	p.proxy.Heal()
	p.awaitLive("m1", true)
	p.web.awaitRunning()
	p.web.judge()
}

// TestLongControllersMayBeRestartedWhileAMachineGoesOnByPromise: a promise outlasts a restart, with etcd and without.
func TestLongControllersMayBeRestartedWhileAMachineGoesOnByPromise(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	p := newPromisers(t)
	member := p.etcd.Members[0]
	for _, outage := range []struct {
		name       string
		begin, end func()
	}{
		{"of the machine", p.proxy.Cut, p.proxy.Heal},
		{"of all", member.Kill, func() { member.Start(); p.etcd.Ready() }},
	} {
		t.Log("an outage " + outage.name)
		outage.begin()
		p.outlasts(7*time.Second, p.web, p.life)
		for _, d := range []*cluster.Node{p.d2, p.d3} {
			p.restart(d)
			p.outlasts(12*time.Second, p.web, p.life)
		}
		outage.end()
		p.web.unchanged(p.life)
	}
	p.web.judge()
}

// TestLongANewcomerEndsWhatIsHeldWithoutItAndMovesItOnce: a controller that registers while a machine goes on by promise of the others is not
// asked by that machine. From then on nobody promises it anything, and what it ran runs elsewhere, after its end.
func TestLongANewcomerEndsWhatIsHeldWithoutItAndMovesItOnce(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	p := newPromisers(t)
	p.proxy.Cut()
	p.outlasts(12*time.Second, p.web, p.life)
	began := witness.Now()
	p.controller("d4")
	p.movedOnce(began)
}

// TestLongAForgottenControllerThatLivesMovesNothingTwice: it was frozen, and forgotten, while a machine goes on by promise of all three. It comes
// back as a newcomer.
func TestLongAForgottenControllerThatLivesMovesNothingTwice(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	p := newPromisers(t)
	p.proxy.Cut()
	p.outlasts(6*time.Second, p.web, p.life)
	began := witness.Now()
	p.signal(p.d3, unix.SIGSTOP, controllerProcess)
	eventually(t, func() (bool, string) { // while it stands for election that is refused
		err := p.client.ForgetController(t.Context(), "d3", false)
		return err == nil, fmt.Sprint(err)
	})
	p.signal(p.d3, unix.SIGCONT, controllerProcess)
	p.registered("d3", false)
	p.movedOnce(began)
}

// TestLongANewcomerJustBeforeAnOutageOfEtcd: it is registered when etcd goes, and the others are killed for good meanwhile. They are
// forgotten when etcd is back; alone it moves what ran on the machine that is lost by then, once.
func TestLongANewcomerJustBeforeAnOutageOfEtcd(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	p := newPromisers(t)
	member := p.etcd.Members[0]
	p.controller("d4")
	member.Kill()
	p.outlasts(15*time.Second, p.web, p.life)
	if err := p.client.ForgetController(t.Context(), "d3", false); err == nil {
		t.Error("a controller was forgotten without etcd")
	}
	began := witness.Now()
	p.proxy.Cut() // m1 does not come back with etcd
	for _, d := range []*cluster.Node{p.d1, p.d2, p.d3} {
		p.kill(d)
	}
	member.Start()
	p.etcd.Ready()
	for _, name := range []string{"d1", "d2", "d3"} {
		eventually(t, func() (bool, string) {
			err := p.client.ForgetController(t.Context(), name, true)
			return err == nil || errors.Is(err, client.ErrNotFound), fmt.Sprint(err)
		})
	}
	p.movedOnce(began)
}
