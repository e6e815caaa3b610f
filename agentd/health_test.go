package agentd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

func TestManyProcessesAreCountedNowAndThenAndAtTheEndOnceMore(t *testing.T) {
	l := newLoop(Options{Machine: "m1", Keys: store.NewKeys(""), Clock: clock.Go{}})
	add := func(n int) {
		for i := range n {
			p := l.proc(fmt.Sprint("p", len(l.procs), "-", i))
			p.run = &keeper.Run{ID: p.id}
		}
	}
	l.now = 1
	add(10)
	if got := l.health().Runs; got != 10 {
		t.Errorf("few are counted at once: %d, want 10", got)
	}
	add(countFreely)
	if got := l.health().Runs; got != 10 || l.counted.recount() != clock.Instant(1).Add(countPause) {
		t.Errorf("many are counted again too soon: %d; the next time is %d", got, l.counted.recount())
	}
	if l.Next() > l.counted.recount() {
		t.Error("nobody wakes to count them")
	}
	l.now = l.now.Add(countPause)
	if got := l.health().Runs; got != 10+countFreely || l.counted.recount() != clock.Never {
		t.Errorf("after the pause: %d, and then at %d", got, l.counted.recount())
	}
}

func TestAnAgentThatDrainsWithoutEtcdSaysWhatItWaitsForAndHowToEndIt(t *testing.T) {
	l := newLoop(Options{Machine: "m1", Keys: store.NewKeys(""), Clock: clock.Go{}})
	if got := l.problem(); !strings.Contains(got, "processes go on") {
		t.Errorf("without etcd it says %q", got)
	}
	l.own.leaving = true
	if got := l.problem(); strings.Contains(got, "processes go on") || !strings.Contains(got, "distsuperagent stop") {
		t.Errorf("draining without etcd it says %q", got)
	}
}
