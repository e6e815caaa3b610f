package core

import (
	"slices"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

func TestShutdownStopsGroupByGroupAndLingers(t *testing.T) {
	w := newWorld(t, Options{Linger: 2 * time.Second})
	for i, name := range []string{"a", "b", "c"} {
		w.must(kept(web(name, func(p *api.Process) { p.GroupPriority = i }), 7))
	}
	w.must(kept(web("c2", func(p *api.Process) { p.Group, p.GroupPriority = "c", 2 }), 7))
	w.turn()
	w.log = nil
	w.turn(Shutdown{})
	for range 10 {
		w.turn()
	}
	if want := []string{"terminate c:c2", "terminate c", "terminate b", "terminate a"}; !slices.Equal(w.log, want) {
		t.Fatalf("what happened is %q, want %q", w.log, want)
	}
	if want := w.now.Boot.Add(2 * time.Second); w.ended || w.wake != want {
		t.Fatalf("ended: %v; it wakes at %d, want %d", w.ended, w.wake, want)
	}
	for _, r := range []keeper.Ref{ref("a", 7), ref("b", 7), ref("c", 7)} {
		w.turn(Forget{r})
	}
	if w.ended {
		t.Fatal("it ended while a run was not forgotten")
	}
	w.turn(Forget{ref("c:c2", 7)})
	if !w.ended {
		t.Fatal("it did not end when all runs were forgotten")
	}
}

func TestShutdownDoesNotWaitForAnAgentForEver(t *testing.T) {
	w := newWorld(t, Options{Linger: 2 * time.Second})
	w.must(kept(web("a"), 7))
	w.turn()
	w.turn(Shutdown{})
	w.until(3*time.Second, "ended", func() bool { return w.ended })
}

func TestShutdownBeforeTheFirstSpawnSpawnsNothing(t *testing.T) {
	w := newWorld(t, Options{First: []string{"z"}})
	w.must(kept(web("a"), 7))
	w.must(kept(web("z"), 7))
	w.turn(Shutdown{})
	if len(w.spawns()) > 0 {
		t.Errorf("spawned %q", w.spawns())
	}
	w.want("a", api.Stopped, keeper.CauseStopped, true)
}

func TestInAShutdownNothingComesBack(t *testing.T) {
	w := newWorld(t, Options{})
	w.fate.obeys = func() bool { return false }
	for i, name := range []string{"crashes", "waits", "slow"} {
		w.must(kept(web(name, func(p *api.Process) { p.GroupPriority = i }), 7))
	}
	w.turn()
	w.die(w.procs["waits"], 1)
	w.turn()
	w.want("waits", api.Backoff, "", false)
	w.turn(Shutdown{})
	w.want("waits", api.Stopped, keeper.CauseStopped, true)
	w.die(w.procs["crashes"], 1)
	w.turn()
	w.turn()
	if r := w.runs["crashes"]; !r.Done || r.Starts != 1 {
		t.Errorf("before its turn to be stopped, a process that ended is %+v", r)
	}
}
