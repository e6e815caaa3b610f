package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: while etcd is silent a machine tells what is so there, on its own host and elsewhere, and how old its knowledge of etcd
// is; what is asked of etcd says to whom to turn.
func TestLongAMachineIsAskedItselfWhileEtcdIsSilent(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	gate.Etcd(t)
	c := etcdproc.Start(t, 1)
	f := start(t, 1, 2, func(o *fleet.Options) { o.Endpoints = c.Endpoints() })
	web, db := f.Witness("web"), f.Witness("db")
	web.TouchTimeout, web.Machines = 2, []string{"m1"}
	web.OnPartition, web.OnStoreOutage = "stop", "stop" // so that it ends, though the controller answers
	db.Machines, db.OnPartition = []string{"m1"}, "keep"
	f.run(2, web, db)
	d, m1, m2 := f.Controllers[0], f.Machines[0], f.Machines[1]
	f.must(d, "distsuperctl", "status") // d's user knows the machines from here on, m1's and m2's know none
	c.Members[0].Kill()
	f.until("web has been fenced", func() (bool, string) { // its deadline is within 2 s
		r := d.Run(f.ctx, "distsuperctl", "--machine", "m1", "status", "web")
		return !strings.Contains(r.Stdout, "RUNNING") && strings.Contains(r.Stdout, "web"), r.Stdout + r.Stderr
	})

	mark := regexp.MustCompile(`^reported by the agent; etcd silent for \d`)
	for _, n := range []*cluster.Node{d, m1} {
		r := n.Run(f.ctx, "distsuperctl", "--machine", "m1", "status")
		if r.Code != 0 && r.Code != 3 || !mark.MatchString(r.Stdout) || !strings.Contains(r.Stdout, "db") || !strings.Contains(r.Stdout, "RUNNING") {
			t.Errorf("%s: status: exit %d: %s%s", n.Name, r.Code, r.Stdout, r.Stderr)
		}
		if !strings.Contains(r.Stderr, "db runs on without etcd") {
			t.Errorf("%s: status does not say what becomes of db: %s", n.Name, r.Stderr)
		}
		r = n.Run(f.ctx, "distsuperctl", "--machine", "m1", "tail", "db")
		if r.Code != 0 || !mark.MatchString(r.Stderr) {
			t.Errorf("%s: tail: exit %d: %s%s", n.Name, r.Code, r.Stdout, r.Stderr)
		}
		r = n.Run(f.ctx, "distsuperctl", "--machine", "m1", "why", "web")
		if r.Code != 0 || !mark.MatchString(r.Stdout) || !strings.Contains(r.Stdout, "no renewal came from etcd") {
			t.Errorf("%s: why: exit %d: %s%s", n.Name, r.Code, r.Stdout, r.Stderr)
		}
	}
	stopped := d.Run(f.ctx, "distsuperctl", "stop", "db", "web", "nope", "--machine", "m1")
	if stopped.Code != 1 || !strings.Contains(stopped.Stdout, "db: stopped") || !strings.Contains(stopped.Stdout, "web: stopped") ||
		!strings.Contains(stopped.Stdout, "nope: ERROR (no such process)") || !strings.Contains(stopped.Stderr, "The fleet does not know that yet (etcd silent for ") {
		t.Errorf("stop: exit %d: %s%s", stopped.Code, stopped.Stdout, stopped.Stderr)
	}
	r := d.Run(f.ctx, "distsuperctl", "status")
	if r.Code != 4 || !strings.Contains(r.Stderr, "ask a machine itself with --machine") || !strings.Contains(r.Stderr, "(m1, m2)") {
		t.Errorf("status: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r = m2.Run(f.ctx, "distsuperctl", "--machine", "m1", "status"); r.Code != 4 || !strings.Contains(r.Stderr, "it is not known how m1 is reached") {
		t.Errorf("who never asked etcd: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	c.Members[0].Start()
	for _, name := range []string{"db", "web"} { // the fleet is told, and starts neither
		f.until(name+" stays stopped", func() (bool, string) {
			p := f.process(name)
			return p.State == api.Stopped && p.Status != nil && strings.Contains(p.Status.StoppedBy, "@"), fleet.Describe(p)
		})
	}
	says(t, f.ctl("start", "db", "web"), "db: started", "web: started") // as the stop said
	f.onceEach()
}
