package e2e

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: a full etcd stops nothing and can be told to stop something; what it says leads out.
func TestLongAFullEtcdStopsWhatIsToStopAndNothingElse(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	gate.Etcd(t)
	c := etcdproc.Start(t, 1, "--quota-backend-bytes", "4000000")
	f := start(t, 1, 1, func(o *fleet.Options) { o.Endpoints = c.Endpoints() })
	stays, ends, last := f.Witness("stays"), f.Witness("ends"), f.Witness("last")
	stays.TouchTimeout, ends.TouchTimeout, last.TouchTimeout = calm, calm, calm
	f.run(3, stays, ends, last)
	before := f.lives()
	f.until("etcd is full", func() (bool, string) {
		_, err := f.Client.KV().Txn(f.ctx, store.Txn{Then: []store.Op{store.Put("/other/big", make([]byte, 500<<10))}})
		return err != nil && strings.Contains(err.Error(), store.ErrNoSpace.Error()), "it takes writes"
	})

	d := f.Controllers[0]
	r := d.Run(f.ctx, "distsuperctl", "stop", "ends")
	if r.Code != 0 || r.Stdout != "ends: stopped\n" || !strings.Contains(r.Stderr, "etcd is full (NOSPACE)") {
		t.Errorf("stop: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if p := f.process("ends"); p.State != api.Stopped || p.Touch != nil {
		t.Errorf("it is %s", fleet.Describe(p))
	}
	r = d.Run(f.ctx, "distsuperctl", "start", "ends")
	if r.Code != 1 || !strings.Contains(r.Stderr, "etcd is full (NOSPACE)") || !strings.Contains(r.Stderr, "distsuperctl defrag") {
		t.Errorf("start: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if after := f.lives(); after["stays"] != before["stays"] {
		t.Errorf("what nobody stopped noticed: %+v, then %+v", before["stays"], after["stays"])
	}

	r = d.Run(f.ctx, "distsuperctl", "status", "--machine", "m1")
	if !strings.HasPrefix(r.Stdout, "reported by the agent, since etcd is full (NOSPACE)") || !strings.Contains(r.Stdout, "RUNNING") {
		t.Errorf("status of the machine: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	f.must(d, "distsuperd", "stop") // and without a leader
	r = d.Run(f.ctx, "distsuperctl", "stop", "last", "--machine", "m1")
	if r.Code != 0 || r.Stdout != "last: stopped\n" || !strings.Contains(r.Stderr, "The fleet then learns of this stop") {
		t.Errorf("stop on the machine: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}

	says(t, f.ctl("defrag"), "MB, was ") // the advice
	f.must(d, "distsuperd", "start")
	f.until("the fleet is told", func() (bool, string) {
		p := f.process("last")
		return p.State == api.Stopped && p.Status != nil && p.Status.StoppedBy != "", fleet.Describe(p)
	})
	says(t, f.ctl("start", "ends"), "ends: started")
	f.onceEach()
}

// Property: distsuperd's own etcd is defragmented by the same command, without etcdctl.
func TestDefragWorksOnTheEtcdOfDistsuperd(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 0)
	says(t, f.ctl("defrag"), "client.sock: ", " MB, was ")
}

// Property: an etcd of three members that is full says which of them are, stops nothing, and is led out by one command, also while one
// member is lost; that one is told of, and can be replaced and defragmented later.
func TestLongAFullEtcdOfThreeIsLedOutOfMemberByMember(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 3, 1, members, func(o *fleet.Options) { o.Env = append(o.Env, "DISTSUPER_EMBEDDED_ETCD_QUOTA=6MB") })
	w := f.many("w", 3)
	w.TouchTimeout = calm
	f.run(3, w)
	before := f.lives()
	first, third := f.Controllers[0], f.Controllers[2]
	fill := func() {
		t.Helper()
		f.until("etcd is full", func() (bool, string) {
			_, err := f.Client.KV().Txn(f.ctx, store.Txn{Then: []store.Op{store.Put("/other/big", make([]byte, 500<<10))}})
			return err != nil && strings.Contains(err.Error(), store.ErrNoSpace.Error()), "it takes writes"
		})
	}
	fill()
	f.until("it says which members are full", func() (bool, string) {
		r := first.Run(f.ctx, "distsuperctl", "members")
		return strings.Contains(r.Stdout, "answers, NOSPACE") && strings.Contains(r.Stderr, "distsuperctl defrag"), r.Stdout + r.Stderr
	})
	out := f.must(f.Machines[0], "distsuperctl", "defrag") // from a host without a member, whose file names some
	if strings.Count(out, " MB, was ") != 3 {
		t.Errorf("not every member was defragmented:\n%s", out)
	}
	f.until("nothing is full", func() (bool, string) {
		r := first.Run(f.ctx, "distsuperctl", "members")
		return r.Code == 0 && !strings.Contains(r.Stdout, "NOSPACE"), r.Stdout
	})

	third.Kill()
	fill()
	refuses := func(what string, says ...string) {
		t.Helper()
		f.until("it says so", func() (bool, string) { // the one that was lost may have led
			r := first.Run(f.ctx, "distsuperctl", strings.Fields(what)...)
			ok := r.Code != 0
			for _, s := range says {
				ok = ok && strings.Contains(r.Stdout+r.Stderr, s)
			}
			return ok, r.Stdout + r.Stderr
		})
	}
	refuses("members replace d3", "NOSPACE", "distsuperctl defrag")
	refuses("defrag", " MB, was ", "the others have room again")
	f.create(f.Witness("new"))
	f.allRun(4)
	f.must(third, "distsuperd", "start")
	f.vote(first, 3)
	f.must(first, "distsuperctl", "defrag")
	after := f.lives()
	for name, l := range before {
		if after[name] != l {
			t.Errorf("%s noticed that etcd was full: %+v, then %+v", name, l, after[name])
		}
	}
	f.onceEach()
}
