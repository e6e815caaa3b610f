package fencing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/witness"
)

// TestAWrittenKeepMovesOnlyWhenNobodyAnswersForIt: under on_partition = keep that a user wrote, the leader believes the
// agent's API. It is the one setting under which two copies are possible, so only the machine whose
// agent answers is held to one.
func TestAWrittenKeepMovesOnlyWhenNobodyAnswersForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &fenced, "")
	cut, dead := w.victim(agentCutOff), w.victim(agentKilled)
	answering := w.run("answering", 2, api.PartitionKeep, cut.Name, "spare")
	silent := w.run("silent", 2, api.PartitionKeep, dead.Name, "spare")
	w.machine("spare", nil)

	t.Run("its agent answers", func(t *testing.T) {
		t.Parallel()
		v, s := *cut, *answering
		v.world = w.in(t)
		s.world = v.world
		before := s.life()
		agentCutOff.begin(&v)
		s.awaitWaiting("verified alive")
		s.staysFor(3*s.timeout(), func(p client.Process) string {
			c, _ := s.last()
			if p.Owner.Machine != v.Name || c.PID != before.copy.PID || !alive(c) {
				return fmt.Sprintf("the copy %d is to stay on %s: %+v, %+v", before.copy.PID, v.Name, c, p.Owner)
			}
			return ""
		})
		agentCutOff.heal(&v)
		v.world.awaitLive(v.Name, true)
		s.unchanged(before)
		s.judge()
	})
	t.Run("its agent is dead", func(t *testing.T) {
		t.Parallel()
		v, s := *dead, *silent
		v.world = w.in(t)
		s.world = v.world
		s.awaitRunning()
		began := witness.Now()
		agentKilled.begin(&v)
		next := s.awaitSuccessor(began)
		_, p := s.awaitRunning()
		if next.Machine != "spare" || p.Owner.Proof != api.ProofNoAnswer {
			t.Errorf("it runs on %s by the proof %q, want spare and %q", next.Machine, p.Owner.Proof, api.ProofNoAnswer)
		}
	})
}

// awaitWaiting waits until the leader says of the process what it waits for.
func (s *subject) awaitWaiting(text string) {
	s.world.t.Helper()
	eventually(s.world.t, func() (bool, string) {
		p := s.state()
		return p.Owner != nil && strings.Contains(p.Owner.Waiting, text), fmt.Sprintf("the leader should say %q of %s: %+v", text, s.name, p.Owner)
	})
}

// staysFor fails the test when the process is ever wrong within the time.
func (s *subject) staysFor(d time.Duration, wrong func(client.Process) string) {
	s.world.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if problem := wrong(s.state()); problem != "" {
			s.world.t.Fatalf("%s: %s", s.name, problem)
		}
	}
}

// TestATouchThatAHandDeletedIsWaitedForAndPutBack: the lease of the touch lives, so its absence proves nothing.
func TestATouchThatAHandDeletedIsWaitedForAndPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &fenced, "")
	m := w.machine("m1", nil)
	s := w.run("touched", 10, api.PartitionStop, "m1", "spare")
	w.machine("spare", nil)
	before := s.life()
	keys := w.client.Keys()

	w.deleteByHand(keys.Touch("m1", s.name))
	s.unchanged(before)

	// With its agent stopped nobody puts the touch back at once, and without alive the machine looks dead.
	w.signal(m, unix.SIGSTOP, agentProcess)
	w.deleteByHand(keys.Touch("m1", s.name), keys.Alive("m1"))
	s.awaitWaiting("deleted the key by hand")
	w.signal(m, unix.SIGCONT, agentProcess)
	w.awaitLive("m1", true)
	s.unchanged(before)
	eventually(t, func() (bool, string) {
		p := s.state()
		return p.Owner.Waiting == "", fmt.Sprintf("the leader still says %q", p.Owner.Waiting)
	})
	s.judge()
}

// deleteByHand is an operator with etcdctl.
func (w *world) deleteByHand(keys ...string) {
	w.t.Helper()
	var ops []store.Op
	for _, key := range keys {
		ops = append(ops, store.Delete(key))
	}
	if _, err := w.client.KV().Txn(w.t.Context(), store.Txn{Then: ops}); err != nil {
		w.t.Fatal(err)
	}
}
