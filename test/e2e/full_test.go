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
	stays, ends := f.Witness("stays"), f.Witness("ends")
	stays.TouchTimeout, ends.TouchTimeout = calm, calm
	f.run(2, stays, ends)
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

	says(t, f.ctl("defrag"), "MB, was ") // the advice
	says(t, f.ctl("start", "ends"), "ends: started")
	f.onceEach()
}
