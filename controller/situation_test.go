package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// outage is a cluster without a controller whose machines m1 and m2 have died; x ran on m1.
func outage(t *testing.T, test func(c *cluster)) {
	three(t, func(c *cluster) {
		c.ctls["d1"].stop()
		c.agents["m1"].die()
		c.agents["m2"].die()
		c.await("the touch is gone", func() bool { return len(c.s.Entries(c.keys.Touches("m1"))) == 0 })
		c.controller("d1")
		c.await("d1 leads", func() bool { return c.ctls["d1"].Status().Leading })
		test(c)
	})
}

func TestNewLeaderWaitsForAbsentMachinesUntilSettle(t *testing.T) {
	outage(t, func(c *cluster) {
		c.stays("x is not placed anew", 14*time.Second, func() bool { return c.owner("x").Machine == "m1" })
		c.awaitRun("x", "m3")
	})
}

func TestNewLeaderStopsWaitingWhenHalfOfTheMachinesAreThere(t *testing.T) {
	outage(t, func(c *cluster) {
		began := time.Now()
		c.agent("m2", "i-m2-anew")
		c.await("x runs", func() bool { return c.runsOn("x") != "" })
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTouchDeletedByHandMovesNothingAndIsTold(t *testing.T) {
	three(t, func(c *cluster) {
		m1 := c.agents["m1"]
		m1.set(func(a *agent) { a.blind = true })
		alive := get[api.Alive](c, c.keys.Alive("m1"))
		c.delete(c.keys.Touch("m1", "x"))
		c.delete(c.keys.Alive("m1"))
		c.await("the owner tells", func() bool { return strings.Contains(c.owner("x").Waiting, "by hand") })
		c.stays("x is on m1", 30*time.Second, func() bool { return c.owner("x").Machine == "m1" && c.runsOn("x") == "m1" })
		m1.set(func(a *agent) {
			a.blind = false
			_, err := c.admin.Txn(c.ctx, store.Txn{Then: []store.Op{store.PutOn(c.keys.Alive("m1"), store.Encode(alive), a.lease)}})
			if err != nil {
				t.Error(err)
			}
		})
		c.await("the owner has nothing to tell", func() bool { return c.owner("x").Waiting == "" })
	})
}

// oracle answers for all agents.
type oracle struct{ says atomic.Value } // func() (bool, error)

func (o *oracle) Runs(context.Context, api.MachineInfo, string, int64) (bool, error) {
	return o.says.Load().(func() (bool, error))()
}

// keeping is a cluster where x runs on m1 under a written keep.
func keeping(t *testing.T, test func(c *cluster, o *oracle)) {
	inCluster(t, func(c *cluster) {
		o := &oracle{}
		c.asker = o
		c.agent("m1", "i-m1")
		c.agent("m2", "i-m2")
		c.awaitAlive(2)
		c.controller("d1")
		c.program("x", 1, func(p *api.Program) { p.OnPartition = api.PartitionKeep })
		c.awaitRun("x", "m1")
		test(c, o)
	})
}

func TestWrittenKeepStaysWhileItsAgentSaysThatItRuns(t *testing.T) {
	keeping(t, func(c *cluster, o *oracle) {
		o.says.Store(func() (bool, error) { return true, nil })
		token := c.owner("x").Token
		c.agents["m1"].kv.Cut()
		c.await("the owner tells", func() bool { return strings.Contains(c.owner("x").Waiting, "verified alive") })
		c.stays("x is on m1", 30*time.Second, func() bool { return c.runsOn("x") == "m1" && c.owner("x").Machine == "m1" })
		c.agents["m1"].kv.Heal()
		c.await("the owner has nothing to tell", func() bool { return c.owner("x").Waiting == "" })
		if c.owner("x").Token != token || c.started("x") != 1 {
			t.Errorf("owner %+v after %d starts", c.owner("x"), c.started("x"))
		}
	})
}

func TestWrittenKeepMovesWhenItsAgentCannotBeReached(t *testing.T) {
	keeping(t, func(c *cluster, o *oracle) {
		o.says.Store(func() (bool, error) { return false, errors.New("no route") })
		c.agents["m1"].die()
		c.awaitRun("x", "m2")
		if o := c.owner("x"); o.Proof != api.ProofNoAnswer {
			t.Errorf("owner %+v", o)
		}
	})
}

func TestUnwrittenKeepMovesOnlyWhenAnOperatorVouches(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.settle = time.Second
		m1 := c.agent("m1", "i-m1")
		c.controller("d1")
		c.program("x", 1)
		c.awaitRun("x", "m1")
		m1.die()
		c.await("m1 is gone", func() bool { return len(c.s.Entries(c.keys.Touches("m1"))) == 0 })
		c.agent("m2", "i-m2")
		c.stays("x is on m1", 30*time.Second, func() bool { return c.owner("x").Machine == "m1" })
		c.put(c.keys.Dead("m1"), api.ConfirmDead{Instance: "i-m1", By: "ann@host"})
		c.awaitRun("x", "m2")
	})
}

func TestOneShotRunsOnceOverThreeLeaderChanges(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.agents["m1"].finish("x", api.Exited)
		for range 3 {
			c.depose()
			time.Sleep(7 * time.Second)
		}
		c.stays("x is finished", time.Minute, func() bool { return c.owner("x").Finished != nil && c.started("x") == 1 })
	})
}

func TestPlacementThatNobodyTouchesMoves(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.agent("m1", "i-m1").set(func(a *agent) { a.lazy = true })
		c.agent("m2", "i-m2")
		c.awaitAlive(2)
		c.controller("d1")
		c.program("x", 1)
		c.awaitRun("x", "m2")
		if o := c.owner("x"); o.Proof != api.ProofUntouched {
			t.Errorf("owner %+v", o)
		}
	})
}

func TestIdleControllersWriteNothing(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.members("d1", "d2")
		time.Sleep(10 * time.Second)
		rev := c.s.Rev()
		time.Sleep(10 * time.Minute)
		if now := c.s.Rev(); now != rev {
			t.Errorf("the store moved from revision %d to %d", rev, now)
		}
	})
}

func TestMachineDeathOfAThousandProcessesTakesFewTransactions(t *testing.T) {
	inCluster(t, func(c *cluster) {
		const n = 1000
		m1 := c.agent("m1", "i-m1")
		c.agent("m2", "i-m2")
		c.awaitAlive(2)
		c.put(c.keys.Cordon("m2"), api.Cordon{By: "ann@host"})
		c.controller("d1")
		c.program("p", n)
		c.await("all run", func() bool { return len(c.s.Entries(c.keys.Touches("m1"))) == n })
		c.delete(c.keys.Cordon("m2"))
		questions := 0
		c.s.Inject(func(call memstore.Call) memstore.Fault {
			if call.Op == memstore.OpTimeToLive {
				questions++
			}
			return memstore.Pass
		})
		before := c.written()
		m1.die()
		c.await("all have moved", func() bool { return len(c.s.Entries(c.keys.Touches("m2"))) == n })
		if writes := c.written() - before; writes > n/10 || questions != 1 {
			t.Errorf("%d transactions and %d questions", writes, questions)
		}
	})
}

func TestOneFailingMemberOfABatchDoesNotHoldTheOthersUp(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.put(c.keys.Info("m1"), api.MachineInfo{Name: "m1"})
		c.put(c.keys.Alive("m1"), api.Alive{Instance: "i-m1"})
		c.controller("d1")
		c.await("d1 leads", func() bool { return c.ctls["d1"].Status().Leading })
		c.around(func(n int, _ *memstore.Client) {
			// Somebody else touches p:3 just before any write: only that one may wait.
			c.put(c.keys.Owner("p:3"), api.Owner{Reason: fmt.Sprint(n)})
		}, nil)
		c.program("p", 8)
		c.await("the seven others are placed", func() bool { return len(c.s.Entries(c.keys.Placements("m1"))) >= 7 })
		c.around(nil, nil)
		c.await("all are placed", func() bool { return len(c.s.Entries(c.keys.Placements("m1"))) == 8 })
	})
}

func TestStoreThatWentBackEndsTheController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		admin := s.Client("admin")
		keys := store.NewKeys(store.DefaultPrefix)
		snap := s.Snapshot()
		ctl := New(Options{KV: s.Client("d1"), Keys: keys, ID: "d1", Expand: spec.Processes, Fingerprint: spec.Fingerprint})
		done := make(chan error, 1)
		go func() { done <- ctl.Run(t.Context()) }()
		for i := range 5 {
			if _, err := admin.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(keys.Program("x"), []byte{byte('0' + i)})}}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		s.Restore(snap)
		if err := <-done; !errors.Is(err, store.ErrBehind) {
			t.Fatalf("Run: %v", err)
		}
	})
}

func TestValueThatCannotBeReadStopsDecisionsUntilItIsMended(t *testing.T) {
	three(t, func(c *cluster) {
		intent := get[api.Intent](c, c.keys.Intent("x"))
		intent.Want = api.WantStop
		if _, err := c.admin.Txn(c.ctx, store.Txn{Then: []store.Op{store.Put(c.keys.Intent("x"), []byte("{nonsense"))}}); err != nil {
			t.Fatal(err)
		}
		c.stays("x runs", 10*time.Second, func() bool { return c.runsOn("x") == "m1" })
		c.put(c.keys.Intent("x"), intent)
		c.await("x is stopped", func() bool { return c.runsOn("x") == "" })
	})
}

func TestHistoryTellsWhatTheLeaderDidAndStaysShort(t *testing.T) {
	three(t, func(c *cluster) {
		c.agents["m1"].die()
		c.awaitRun("x", "m2")
		history := store.NewHistory(c.admin, c.keys, "test", nil)
		events, err := history.List(c.ctx, "x", 0)
		if err != nil || len(events) != 2 {
			t.Fatalf("%v, %+v", err, events)
		}
		if e := events[1]; e.What != "moved" || e.Machine != "m2" || !strings.Contains(e.Why, "lease expired") || e.By != "leader d1" {
			t.Errorf("told %+v", e)
		}
		for range 300 {
			op, err := history.Op(c.ctx, api.HistoryEntry{Process: "x", What: "started"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.admin.Txn(c.ctx, store.Txn{Then: []store.Op{op}}); err != nil {
				t.Fatal(err)
			}
		}
		c.await("a hundred are left", func() bool { return len(c.s.Entries(c.keys.History("x"))) == 100 })
	})
}

func TestLostHistoryLeaseHoldsNothingUp(t *testing.T) {
	three(t, func(c *cluster) {
		for _, e := range c.s.Entries(c.keys.History("x")) {
			if err := c.admin.Revoke(c.ctx, e.Lease); err != nil {
				t.Fatal(err)
			}
		}
		c.want("x", moveIt("m3"))
		c.awaitRun("x", "m3")
	})
}

func TestReadersSeeTheViewOfEveryReplica(t *testing.T) {
	three(t, func(c *cluster) {
		c.controller("d2")
		c.await("d2 shows where x is", func() bool {
			p := c.ctls["d2"].View().Process("x")
			return p != nil && p.Owner != nil && p.Owner.Value.Machine == "m1"
		})
		kept := c.ctls["d2"].View()
		c.agents["m1"].die()
		c.awaitRun("x", "m2")
		c.await("d2 shows the move", func() bool { return c.ctls["d2"].View().Process("x").Owner.Value.Machine == "m2" })
		if kept.Process("x").Owner.Value.Machine != "m1" || kept.Machine("m1").Alive == nil {
			t.Error("a view that was kept has changed")
		}
		if s := c.ctls["d2"].Status(); s.Leading || !s.Connected || s.Rev == 0 {
			t.Errorf("status %+v", s)
		}
	})
}
