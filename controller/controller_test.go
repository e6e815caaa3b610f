package controller

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// three is a cluster of three machines and a controller, with process x running on m1.
func three(t *testing.T, test func(c *cluster)) {
	inCluster(t, func(c *cluster) {
		for _, m := range []string{"m1", "m2", "m3"} {
			c.agent(m, "i-"+m)
		}
		c.awaitAlive(3)
		c.controller("d1")
		c.program("x", 1)
		c.awaitRun("x", "m1")
		test(c)
	})
}

func TestProcessOfADeadMachineRunsElsewhereOnce(t *testing.T) {
	three(t, func(c *cluster) {
		died := time.Now()
		c.agents["m1"].die()
		c.awaitRun("x", "m2")
		if took := time.Since(died); took > touchTTL*time.Second+time.Second {
			t.Errorf("took %v", took)
		}
		if o := c.owner("x"); o.Proof != api.ProofExpired || c.started("x") != 2 {
			t.Errorf("owner %+v after %d starts, want the proof of expiry and 2", o, c.started("x"))
		}
	})
}

func TestRestartHappensInPlace(t *testing.T) {
	three(t, func(c *cluster) {
		c.want("x", restartIt)
		c.await("a second start", func() bool { return c.started("x") == 2 })
		if o := c.owner("x"); c.runsOn("x") != "m1" || o.Proof != api.ProofInPlace {
			t.Errorf("on %q, owner %+v", c.runsOn("x"), o)
		}
	})
}

func TestDrainMovesAtOnce(t *testing.T) {
	three(t, func(c *cluster) {
		c.put(c.keys.Cordon("m1"), api.Cordon{Drain: true, By: "ann@host"})
		began := time.Now()
		c.awaitRun("x", "m2")
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v: it waited for a lease", took)
		}
		if o := c.owner("x"); o.Proof != api.ProofReleased {
			t.Errorf("owner %+v", o)
		}
	})
}

func TestStopEndsItAndStartBringsItBack(t *testing.T) {
	three(t, func(c *cluster) {
		c.want("x", stopIt)
		c.await("x is stopped", func() bool { return c.runsOn("x") == "" })
		c.want("x", startIt)
		c.awaitRun("x", "m1")
	})
}

func TestRemovedProgramIsStoppedAndItsKeysGo(t *testing.T) {
	three(t, func(c *cluster) {
		c.delete(c.keys.Program("x"))
		c.delete(c.keys.Intent("x"))
		c.await("nothing of x", func() bool {
			return c.runsOn("x") == "" && len(c.s.Entries(c.keys.Owners())) == 0 && len(c.s.Entries(c.keys.Statuses("m1"))) == 0
		})
	})
}
