package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store/memstore"
)

// course leads processes through everything that a leader does: start, move, restart, a machine's death, stop,
// start, failure, removal. It takes the same way whatever happens to the leader's writes.
func course(c *cluster) {
	for _, m := range []string{"m1", "m2", "m3"} {
		c.agent(m, "i-"+m)
	}
	c.awaitAlive(3)
	c.controller("d1")
	c.controller("d2")
	c.program("x", 1)
	c.program("y", 2)
	c.await("all run", func() bool { return c.runsOn("x") != "" && c.runsOn("y:0") != "" && c.runsOn("y:1") != "" })
	c.want("x", moveIt("m3"))
	c.awaitRun("x", "m3")
	before := c.started("x")
	c.want("x", restartIt)
	c.await("x started again", func() bool { return c.started("x") > before && c.runsOn("x") == "m3" })
	c.agents["m3"].die()
	c.await("x runs elsewhere", func() bool { return c.runsOn("x") != "" })
	c.want("x", stopIt)
	c.await("x is stopped", func() bool { return c.runsOn("x") == "" })
	c.want("x", startIt)
	c.await("x runs again", func() bool { return c.runsOn("x") != "" })
	was := c.runsOn("x")
	c.agents[was].finish("x", api.Fatal)
	c.await("x is tried on the other machine", func() bool { on := c.runsOn("x"); return on != "" && on != was })
	c.agents[c.runsOn("y:0")].finish("y:0", api.Exited)
	c.await("y:0 is finished", func() bool { return c.owner("y:0").Finished != nil })
	c.delete(c.keys.Program("x"))
	c.delete(c.keys.Intent("x"))
	c.await("x is removed", func() bool { return c.owner("x").Machine == "" && c.runsOn("x") == "" })
	if c.started("y:0") == 0 || c.runsOn("y:1") == "" || c.runsOn("y:0") != "" {
		c.t.Errorf("y:0 started %d times, y:1 runs on %q", c.started("y:0"), c.runsOn("y:1"))
	}
}

// TestCourseWithTroubleAtEveryWrite takes the course once for each of the leader's writes and each kind
// of trouble at it: the leadership is lost between plan and write, or right after it; the answer is
// lost; the write is refused; it arrives late. Never are there two placements, touches or copies.
func TestCourseWithTroubleAtEveryWrite(t *testing.T) {
	once := func(k int, before, after func(c *cluster, kv *memstore.Client)) func(c *cluster) {
		wrap := func(c *cluster, f func(c *cluster, kv *memstore.Client)) func(int, *memstore.Client) {
			return func(n int, kv *memstore.Client) {
				if n == k && f != nil {
					f(c, kv)
				}
			}
		}
		return func(c *cluster) {
			c.around(wrap(c, before), wrap(c, after))
			course(c)
		}
	}
	depose := func(c *cluster, _ *memstore.Client) { c.depose() }
	fault := func(f memstore.Fault) func(*cluster, *memstore.Client) {
		return func(c *cluster, _ *memstore.Client) {
			c.s.Next(f, func(call memstore.Call) bool {
				return call.Op == memstore.OpTxn && len(call.Txn.Else) == 1 // only a leader's writes have one
			})
		}
	}
	late := func(c *cluster, kv *memstore.Client) {
		fault(memstore.HoldBack)(c, kv)
		c.wg.Go(func() {
			if clock.Sleep(c.ctx, 1500*time.Millisecond) {
				c.s.Deliver()
			}
		})
	}
	troubles := []struct {
		name          string
		before, after func(*cluster, *memstore.Client)
	}{
		{name: "none"},
		{name: "leadership lost before", before: depose},
		{name: "leadership lost after", after: depose},
		{name: "answer lost", before: fault(memstore.LoseAnswer)},
		{name: "refused", before: fault(memstore.Refuse)},
		{name: "late", before: late},
	}
	writes := 0
	for _, trouble := range troubles {
		for k := 1; k <= max(writes, 1); k++ {
			t.Run(fmt.Sprintf("%s/%d", trouble.name, k), func(t *testing.T) {
				inCluster(t, func(c *cluster) {
					once(k, trouble.before, trouble.after)(c)
					if trouble.name == "none" {
						writes = c.written()
						if c.refused > 0 {
							t.Errorf("%d writes failed without trouble", c.refused)
						}
					}
				})
			})
		}
	}
	if writes < 10 {
		t.Errorf("the course has %d writes only", writes)
	}
}

func TestFormerLeadersWriteIsRefusedAndItStepsDown(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.await("d2 is a candidate", func() bool { return len(c.s.Entries(c.keys.Election()+"/")) == 2 })
		at := c.written() + 1
		c.around(func(n int, _ *memstore.Client) {
			if n == at {
				c.depose()
			}
		}, nil)
		c.want("x", moveIt("m2"))
		c.awaitRun("x", "m2")
		if c.refused == 0 {
			t.Error("the write of the deposed leader went through")
		}
		if !c.ctls["d2"].Status().Leading || c.ctls["d1"].Status().Leading {
			t.Error("d2 does not lead alone")
		}
	})
}

func TestResignationHandsOverAtOnceAndNoProcessNotices(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.await("d2 is a candidate", func() bool { return len(c.s.Entries(c.keys.Election()+"/")) == 2 })
		c.ctls["d1"].stop()
		began := time.Now()
		c.await("d2 leads", func() bool { return c.ctls["d2"].Status().Leading })
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("took %v", took)
		}
		c.stays("x runs on", 20*time.Second, func() bool { return c.runsOn("x") == "m1" && c.started("x") == 1 })
	})
}

func TestLeaderThatIsCutOffIsReplacedAndDoesNothingWhenItReturns(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.await("d2 is a candidate", func() bool { return len(c.s.Entries(c.keys.Election()+"/")) == 2 })
		c.ctls["d1"].kv.Cut()
		c.agents["m1"].die()
		c.awaitRun("x", "m2")
		c.ctls["d1"].kv.Heal()
		c.stays("one copy of x", 30*time.Second, func() bool { return c.runsOn("x") == "m2" && c.started("x") == 2 })
	})
}

func TestAgentThatReturnsInTheMiddleOfItsOwnFailoverKeepsItsProcess(t *testing.T) {
	three(t, func(c *cluster) {
		token := c.owner("x").Token
		c.countPlacements()
		at := c.written() + 1
		c.around(func(n int, _ *memstore.Client) {
			if n != at {
				return
			}
			c.agents["m1"].kv.Heal() // the leader has decided; its write waits here
			for len(c.s.Entries(c.keys.Touches("m1"))) == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}, nil)
		c.agents["m1"].kv.Cut()
		c.await("a write was refused", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.refused > 0 })
		c.stays("x is on m1", 20*time.Second, func() bool { return c.runsOn("x") == "m1" && c.owner("x").Token == token })
	})
}

func TestElectionOfEtcdMovesNothing(t *testing.T) {
	three(t, func(c *cluster) {
		c.s.Elect(2 * time.Second)
		time.Sleep(3 * time.Second) // no reads while etcd has no leader
		c.stays("x is on m1", 30*time.Second, func() bool { return c.owner("x").Machine == "m1" })
		if c.runsOn("x") != "m1" {
			t.Errorf("x runs on %q", c.runsOn("x"))
		}
	})
}

func TestRunThatReturnsAndExitsInTheMiddleOfItsFailoverDoesNotRunAgain(t *testing.T) {
	three(t, func(c *cluster) {
		m1 := c.agents["m1"]
		c.countPlacements()
		at := c.written() + 1
		c.around(func(n int, _ *memstore.Client) {
			if n != at {
				return
			}
			m1.kv.Heal() // the leader has decided; its write waits here until the touch has come and gone
			for c.runsOn("x") == "" {
				time.Sleep(10 * time.Millisecond)
			}
			m1.finish("x", api.Exited)
			for len(c.s.Entries(c.keys.Touches("m1"))) > 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}, nil)
		m1.kv.Cut()
		c.await("x is finished", func() bool { return c.owner("x").Finished != nil })
		c.stays("x does not run", 20*time.Second, func() bool { return c.runsOn("x") == "" })
	})
}

func TestOneWriteAtATimeForAProcess(t *testing.T) {
	three(t, func(c *cluster) {
		flying := 0
		c.around(func(int, *memstore.Client) {
			if flying++; flying > 1 {
				t.Error("a second write while one is on its way")
			}
			time.Sleep(300 * time.Millisecond)
		}, func(int, *memstore.Client) { flying-- })
		for range 5 {
			c.want("x", restartIt)
			time.Sleep(100 * time.Millisecond)
		}
		c.await("x answers the last request", func() bool { return c.owner("x").Restarts == 5 })
	})
}

func TestRoomIsCountedWithTheWritesOnTheirWay(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.put(c.keys.Info("m1"), api.MachineInfo{Name: "m1", MaxProcesses: 1})
		c.put(c.keys.Alive("m1"), api.Alive{Instance: "i-m1"})
		c.controller("d1")
		c.await("d1 leads", func() bool { return c.ctls["d1"].Status().Leading })
		c.around(func(n int, _ *memstore.Client) {
			if n == 1 {
				time.Sleep(500 * time.Millisecond)
			}
		}, nil)
		c.program("x", 1)
		time.Sleep(100 * time.Millisecond)
		c.program("y", 1)
		c.stays("at most one placement", 5*time.Second, func() bool { return len(c.s.Entries(c.keys.Placements("m1"))) <= 1 })
		if n := len(c.s.Entries(c.keys.Placements("m1"))); n != 1 {
			t.Errorf("%d placements", n)
		}
	})
}

func TestTouchThatAppearsBetweenPlanAndWriteStopsTheMove(t *testing.T) {
	three(t, func(c *cluster) {
		c.countPlacements()
		at := c.written() + 1
		c.around(func(n int, _ *memstore.Client) {
			if n == at { // the touch alone: the status is as the leader saw it
				c.put(c.keys.Touch("m1", "x"), api.Touch{Token: c.owner("x").Token, Instance: "i-m1"})
			}
		}, nil)
		c.agents["m1"].die()
		c.await("a write was refused", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.refused > 0 })
		c.stays("x is on m1", 20*time.Second, func() bool { return c.owner("x").Machine == "m1" && c.owner("x").Placed })
		c.delete(c.keys.Touch("m1", "x"))
		c.awaitRun("x", "m2")
	})
}

// outlived has m1 run x on a lease from before an election of etcd, and m2 and m3 come after it.
func outlived(t *testing.T, test func(c *cluster)) {
	inCluster(t, func(c *cluster) {
		c.agent("m1", "i-m1")
		c.awaitAlive(1)
		c.controller("d1")
		c.program("x", 1)
		c.awaitRun("x", "m1")
		c.s.Elect(0)
		c.agent("m2", "i-m2")
		c.agent("m3", "i-m3")
		c.awaitAlive(3)
		test(c)
	})
}

// The lease ends a moment after its last renewal was answered, and the machine hears of nothing.
func TestALeaseThatALeaderWhoStoodStillEndsMovesNothingTooEarly(t *testing.T) {
	outlived(t, func(c *cluster) {
		m1 := c.agents["m1"]
		renewals := c.s.Stats().Renewals
		c.await("the leases are renewed at the new leader", func() bool { return c.s.Stats().Renewals > renewals+6 })
		m1.kv.Cut()
		ended := time.Now()
		if n := c.s.EndOutlived(); n == 0 {
			t.Fatalf("%d leases ended", n)
		}
		c.await("the copy on m1 has ended", func() bool { return c.runsOn("x") != "m1" })
		if left := time.Since(ended); left < 3*time.Second {
			t.Fatalf("it ended after %v", left)
		}
		c.awaitRun("x", "m2") // began has seen no second copy
		if took := time.Since(ended); took > touchTTL*time.Second*13/12+time.Second {
			t.Errorf("it runs elsewhere after %v", took)
		}
	})
}

// Where the machine lives it puts the touch back, and nothing happens at all.
func TestALeaseThatALeaderWhoStoodStillEndsHurtsNobodyAlive(t *testing.T) {
	outlived(t, func(c *cluster) {
		started, token := c.started("x"), c.owner("x").Token
		if n := c.s.EndOutlived(); n == 0 {
			t.Fatalf("%d leases ended", n)
		}
		c.stays("x is not moved", 30*time.Second, func() bool { return c.owner("x").Token == token })
		if c.runsOn("x") != "m1" || c.started("x") != started {
			t.Errorf("it was restarted, and is on %q", c.runsOn("x"))
		}
	})
}
