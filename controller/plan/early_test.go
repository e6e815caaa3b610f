package plan

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// The touch of x was on a lease of 9 seconds, while touch_timeout says less by now, and it ended under another leader of etcd.
func TestNoDoorLeadsPastALeaseThatMayHaveEndedEarly(t *testing.T) {
	for _, door := range doors {
		t.Run(door.name, func(t *testing.T) {
			m := fleet(t)
			first := m.v.Processes["x"].Owner.Value.Token
			m.status("x", "m1", func() api.Status {
				st := m.v.Processes["x"].slot("m1").Status.Value
				st.LeaseTTL, st.LeaseTerm = 9, 4
				return st
			}())
			m.expire("m1")
			ended := m.in.Now
			m.in.Leases[7] = LeaseAnswer{Gone: true, At: ended, Term: 5}
			door.open(m)
			m.run()
			whole := deadline.WaitTime(9 * time.Second)
			for _, after := range []time.Duration{0, whole - 1} {
				m.in.Now = ended.Add(after)
				m.run()
				p := m.v.Processes["x"]
				if p.Owner == nil || p.Owner.Value.Token != first || p.slot("m1").Status == nil {
					t.Fatalf("%v after the lease ended another run was placed, or it was forgotten who had the last one: %+v", after, p.Owner)
				}
			}
			m.in.Now = ended.Add(whole)
			m.run()
			if where := m.where("x"); where == "" || m.v.Processes["x"].Owner.Value.Token == first {
				t.Errorf("it is on %q", where)
			}
		})
	}
}

func TestHowLongALeaseThatEndedIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		name    string
		granted uint64
		ttl     int64
		ended   uint64
		want    time.Duration
	}{
		{"the leader that granted it has ended it", 4, 9, 4, 0},
		{"another one leads since", 4, 9, 5, 9750*time.Millisecond + 100*time.Millisecond},
		{"its agent is of an earlier version: touch_timeout counts", 0, 0, 4, 2*time.Second + time.Second/6 + 100*time.Millisecond},
	} {
		d := decider{}
		s := &Slot{Status: &api.Stored[api.Status]{Value: api.Status{LeaseTTL: c.ttl, LeaseTerm: c.granted}}}
		if got := d.early(&ProcessFacts{}, s, LeaseAnswer{Gone: true, Term: c.ended}); (got - c.want).Abs() > time.Millisecond {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
