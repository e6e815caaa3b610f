package sim

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
)

// farewellTime is the most that distsuperd waits for machines to ask for their long promises.
const farewellTime = 5 * time.Second

// GoAway has the only controller say farewell, and then be away, as its host is that is booted anew, with the whole of etcd. Come back ends
// that, and does nothing before the farewell was said.
func (c *Controller) GoAway() (comeBack func()) {
	w, back, away := c.w, false, false
	if !c.up {
		return c.Start
	}
	c.leftUnder = w.Etcd.Server.Term()
	c.run(func(ctx context.Context) {
		if err := c.member.Leave(ctx); err != nil {
			w.tell(c.ID, "says no farewell: %v", err)
			return
		}
		w.tell(c.ID, "says farewell")
		w.After(0, c.inLife(c.lookAtRegistrations))
		w.longPromises = w.now + farewellTime + deadline.WaitTime(promise.FarewellLength+deadline.TreeTime)
		end := c.host.Now().Add(farewellTime)
		w.until(50*time.Millisecond, func() bool { return c.host.Now() >= end || len(c.member.Given(w.check.held()).Missing) == 0 })
		c.exit(func() {
			if back {
				return
			}
			away = true
			w.tell(c.ID, "goes away, and etcd with it: not promised %v", c.member.Given(w.check.held()).Missing)
			c.Crash()
			for i := range w.Etcd.Members {
				w.Etcd.Crash(i)
			}
		})
	})
	return func() {
		back = true
		if away {
			w.tell(c.ID, "its host is booted")
			c.host.boot()
			for i := range w.Etcd.Members {
				w.Etcd.Recover(i)
			}
		}
		c.Crash()
		c.Start()
	}
}

// endFarewell starts an etcd again that went on though its controller has said farewell: that ends what it promised for long.
func (c *Controller) endFarewell() {
	if c.leftUnder == c.w.Etcd.Server.Term() && c.w.Etcd.Server.Up() {
		c.w.Etcd.Elect(time.Second)
	}
	c.leftUnder = 0
}

// held are the runs that machines hold, as etcd has them.
func (c *checker) held() map[string][]promise.Name {
	held := map[string][]promise.Name{}
	for at := range c.touch {
		st := c.status[at]
		if pl := c.placement[at]; st.OnPartition == api.PartitionStop && pl.Token == st.Token && pl.Process.OnStoreOutage != api.OutageStop {
			held[at.machine] = append(held[at.machine], promise.Name{Process: at.process, Token: st.Token})
		}
	}
	return held
}

// promised reports whether a process waits for the end of a promise that a controller gave when it said farewell: that may take longer than
// anything else.
func (c *checker) promised(id string) bool {
	return c.w.now < c.w.longPromises && c.owner[id].WaitingFor == api.WaitingForPromise
}
