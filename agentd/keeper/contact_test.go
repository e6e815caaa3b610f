package keeper

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// TestContactIsWhatLeasesAndRunsTell: five minutes after its agent was stopped, a keeper said that its processes were running until
// at most five seconds from now.
func TestContactIsWhatLeasesAndRunsTell(t *testing.T) {
	began := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) deadline.Moment {
		return deadline.Moment{Boot: clock.Instant(0).Add(d), Raw: 1000 + int64(d)}
	}
	s := Snapshot{
		Leases: []Lease{{ID: 1, TTL: 5, Deadline: deadline.Of(at(0), 5)}, {ID: 2, TTL: 30, Deadline: deadline.Of(at(100*time.Millisecond), 30)}},
		Runs: []Run{
			{ID: "web", OnPartition: api.PartitionStop, Leases: []int64{1}},
			{ID: "api", OnPartition: api.PartitionStop, Leases: []int64{2}},
			{ID: "cron", OnPartition: api.PartitionKeep},
			{ID: "once", OnPartition: api.PartitionStop, Leases: []int64{2}, Done: true},
		},
	}
	says := func(after time.Duration, want string) {
		t.Helper()
		if got := s.Contact(at(after), began.Add(after)).Unasked().String(); got != want {
			t.Errorf("after %v\nsays %s\nwant %s", after, got, want)
		}
	}
	rest := "; cron runs on without etcd (on_partition = keep); once has ended, and the fleet is told when an agent is started and etcd answers it"
	says(time.Second, "etcd answered last 0.9 s ago, and no agent asks it now: api and web go on until their deadlines in 3.3 s to "+
		"26 s, unless an agent is started and etcd answers it before"+rest)
	s.Runs[0].Cause, s.Runs[0].Stopped = CauseFenced, began.Add(4*time.Second)
	says(4500*time.Millisecond, "etcd answered last 4.4 s ago, and no agent asks it now: web is being stopped, since no renewal came from etcd; its "+
		"deadline passed 0.1 s ago; api goes on until its deadline in 22 s, unless an agent is started and etcd answers it before"+rest)
	for i := range 2 {
		s.Runs[i].Cause, s.Runs[i].Gone, s.Runs[i].Stopped = CauseFenced, true, began.Add(25*time.Second)
	}
	says(5*time.Minute, "etcd answered last 4 min 59 s ago, and no agent asks it now: api and web were stopped here, the last one 4 min 35 s ago, since "+
		"no renewal came from etcd; they start again here when an agent is started and etcd answers it, unless they run elsewhere by then"+rest)
	if c := s.Contact(at(0), began); c.State != contact.StateAnswers || c.From != contact.FromKeeper {
		t.Errorf("at the answer: %+v", c)
	}
	if got := (Snapshot{}).Contact(at(0), began).Unasked().String(); got != "etcd unknown: no lease is held here" {
		t.Errorf("of a keeper that was never used: %s", got)
	}
}
