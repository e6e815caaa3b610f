package agentd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

func TestManyProcessesAreCountedNowAndThenAndAtTheEndOnceMore(t *testing.T) {
	c := NewCore(CoreOptions{Machine: "m1", Keys: store.NewKeys("")})
	add := func(n int) {
		for i := range n {
			p := c.changing(fmt.Sprint("p", len(c.procs), "-", i))
			p.run = &keeper.Run{ID: p.id}
		}
	}
	now := clock.Instant(1)
	add(10)
	if got := c.health(now).Runs; got != 10 {
		t.Errorf("few are counted at once: %d, want 10", got)
	}
	add(countFreely)
	if got := c.health(now).Runs; got != 10 || c.counted.recount() != clock.Instant(1).Add(countPause) {
		t.Errorf("many are counted again too soon: %d; the next time is %d", got, c.counted.recount())
	}
	if c.Next() > c.counted.recount() {
		t.Error("nobody wakes to count them")
	}
	now = now.Add(countPause)
	if got := c.health(now).Runs; got != 10+countFreely || c.counted.recount() != clock.Never {
		t.Errorf("after the pause: %d, and then at %d", got, c.counted.recount())
	}
}

func TestAnAgentThatDrainsWithoutEtcdDoesNotSayThatProcessesGoOn(t *testing.T) {
	c := NewCore(CoreOptions{Machine: "m1", Keys: store.NewKeys("")})
	c.Heard(Renewals{Contact: lease.Contact{Silent: true}})
	c.own.leaving = true
	if got := c.problem(); !strings.Contains(got, "stopped") {
		t.Errorf("draining without etcd it says %q", got)
	}
}
