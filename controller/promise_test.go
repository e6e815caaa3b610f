package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store/trust"
)

// The machines here end their copies when their leases do. What one of them asks for is what a machine would go on by.

// holding has m1 ask controllers for x as an agent does, until the returned function is called. It says when it asked last.
func (c *cluster) holding(ids ...string) (stop func() (asked time.Time)) {
	c.t.Helper()
	r, err := trust.ReadRegistered(c.ctx, c.admin, c.keys)
	if err != nil {
		c.t.Fatal(err)
	}
	x := promise.Name{Process: "x", Token: c.owner("x").Token}
	ended, last := make(chan struct{}), make(chan time.Time)
	c.wg.Go(func() {
		asked := time.Now()
		for {
			for _, id := range ids {
				m := c.ctls[id].member
				m.Machines(map[string]string{"m1": "f-m1"})
				a := promise.Ask{Version: promise.Version, Controller: id, Machine: "m1", Set: r.Revision(r.Rev), Names: []promise.Name{x}}
				if answer, err := m.Answer("f-m1", a); err != nil || answer.Promised() == 0 {
					c.t.Errorf("%s answers %+v, %v", id, answer, err)
				}
			}
			select {
			case <-ended:
				last <- asked
				return
			case <-time.After(promise.AskEvery):
				asked = time.Now()
			}
		}
	})
	return func() time.Time { close(ended); return <-last }
}

// members waits until every controller is one.
func (c *cluster) members(ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		c.await(id+" is a member", func() bool { s, _ := c.ctls[id].member.Standing(); return s.Member })
	}
}

// staysHeld: x is on m1, and its owner says why.
func (c *cluster) staysHeld(d time.Duration) {
	c.t.Helper()
	c.await("the owner tells", func() bool { return strings.HasPrefix(c.owner("x").Waiting, "m1 holds it by promise") })
	c.stays("x is on m1", d, func() bool { return c.owner("x").Machine == "m1" })
}

func TestWhatIsPromisedStaysAndMovesWhenThatIsOver(t *testing.T) {
	three(t, func(c *cluster) {
		stop := c.holding("d1")
		c.agents["m1"].kv.Cut()
		c.staysHeld(time.Minute)
		asked := stop()
		c.awaitRun("x", "m2")
		if after := time.Since(asked); after < promise.Length || after > promise.Length*13/12+time.Second {
			t.Errorf("it was moved %v after it was asked for", after)
		}
	})
}

func TestANewLeaderKeepsWhatItPromised(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.members("d1", "d2")
		stop := c.holding("d1", "d2")
		c.agents["m1"].kv.Cut()
		c.staysHeld(20 * time.Second)
		c.depose()
		c.staysHeld(20 * time.Second)
		stop()
		c.awaitRun("x", "m2")
	})
}

func TestAStoppedAndStartedProcessIsHeldToo(t *testing.T) {
	three(t, func(c *cluster) {
		stop := c.holding("d1")
		c.agents["m1"].kv.Cut()
		c.staysHeld(time.Second)
		c.want("x", func(i *api.Intent) { i.Want = api.WantStop })
		c.await("it is taken away", func() bool { return !c.owner("x").Placed })
		c.want("x", func(i *api.Intent) { i.Want = api.WantRun; i.Restarts++ })
		c.staysHeld(time.Minute)
		stop()
		c.awaitRun("x", "m2")
	})
}

func TestALeaderThatStartedAgainWaitsForWhatItMayHavePromised(t *testing.T) {
	three(t, func(c *cluster) {
		c.holding("d1")()
		c.agents["m1"].die()
		time.Sleep(5 * time.Second)
		c.ctls["d1"].stop()
		began := time.Now()
		c.controller("d1")
		c.awaitRun("x", "m2")
		if after := time.Since(began); after < promise.Length {
			t.Errorf("it was moved %v after the start", after)
		}
	})
}

func TestANewcomerThatLeadsMovesOnlyWhatNoMachineMayHold(t *testing.T) {
	three(t, func(c *cluster) {
		c.program("y", 1)
		c.await("y runs", func() bool { return c.runsOn("y") != "" })
		c.ctls["d1"].stop()
		c.controller("d2")
		c.await("d2 leads", func() bool { return c.ctls["d2"].Status().Leading })
		c.program("z", 1)
		c.await("what was never placed runs", func() bool { return c.runsOn("z") != "" })
		c.agents["m1"].die()
		c.await("the owner tells", func() bool { return strings.HasPrefix(c.owner("x").Waiting, "this controller is new") })
		c.stays("x is on m1", promise.NewcomerWait(promise.DefaultMaxHold), func() bool { return c.owner("x").Machine == "m1" })
		c.await("x runs elsewhere", func() bool { return c.runsOn("x") != "" })
	})
}

func TestAForgottenLeaderStepsDown(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.members("d1", "d2")
		rev := c.s.Entries(c.keys.Controller("d1"))[0].ModRev
		c.delete(c.keys.Controller("d1"))
		c.await("another one leads", func() bool { return c.ctls["d2"].Status().Leading })
		c.agents["m1"].die()
		c.awaitRun("x", "m2")
		if s, _ := c.ctls["d1"].member.Standing(); s.Member || s.Entry <= rev {
			t.Errorf("d1 stands as %+v", s)
		}
	})
}

func TestATwinTakesTheLeadAwayAndMovesNothing(t *testing.T) {
	three(t, func(c *cluster) {
		first := c.ctls["d1"]
		c.copied = " copy"
		c.controller("d1")
		c.await("the twin leads", func() bool { return c.ctls["d1"].Status().Leading && !first.Status().Leading })
		c.agents["m1"].die()
		c.stays("x is on m1", time.Minute, func() bool { return c.owner("x").Machine == "m1" })
		if first.Status().Leading {
			t.Error("the first one leads again")
		}
		first.stop()
	})
}

func TestTheLeaderForgetsWhoWasSilentForAnHour(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.controller("d3")
		c.members("d1", "d2", "d3")
		c.ctls["d2"].stop()
		known := func() (ids []string) {
			for _, e := range c.s.Entries(c.keys.Controllers()) {
				ids = append(ids, strings.TrimPrefix(e.Key, c.keys.Controllers()))
			}
			return ids
		}
		time.Sleep(59 * time.Minute)
		if got := strings.Join(known(), " "); got != "d1 d2 d3" {
			t.Errorf("after 59 minutes there are %s", got)
		}
		time.Sleep(5 * time.Minute)
		if got := strings.Join(known(), " "); got != "d1 d3" {
			t.Errorf("after an hour there are %s", got)
		}
	})
}
