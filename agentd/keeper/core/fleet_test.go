package core_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

const (
	ttl  = 2 // seconds, the least that there is
	step = 20 * time.Millisecond
)

// machine is a keeper's core with pretended processes and clocks of its own, as a simulator has it.
type machine struct {
	t         *rapid.T
	now       time.Duration // true time, as etcd counts it
	offset    time.Duration
	boot, raw float64 // rates of its clocks
	core      *core.Core
	ended     []core.Event
	pid       int // of the one process, 0 for none
	wake      clock.Instant
	obeys     bool          // the stop signal
	killTakes time.Duration // of true time
	dying     time.Duration // until then, 0 when it is not
	ref       keeper.Ref    // what is dying
	started   int
}

// upTo is the most, in half of the cases, or less.
func upTo(most float64) *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Just(most), rapid.Float64Range(0, most))
}

// newMachine makes one whose clocks are both slow by so much at most.
func newMachine(t *rapid.T, name string, by float64) *machine {
	slow := func(clock string) float64 {
		return 1 - upTo(by).Draw(t, name+": "+clock+" is slow by")
	}
	m := &machine{t: t, offset: time.Duration(rapid.Int64Range(1, 1e15).Draw(t, name+": booted before")), boot: slow("boot"), raw: slow("raw")}
	m.core = core.New(m.Moment(), core.Options{})
	return m
}

// Moment implements core.Shell.
func (m *machine) Moment() deadline.Moment {
	return deadline.Moment{Boot: clock.Instant(m.offset) + clock.Instant(float64(m.now)*m.boot), Raw: int64(float64(m.now) * m.raw)}
}

// Do implements core.Shell.
func (m *machine) Do(effect core.Effect) core.Event {
	switch e := effect.(type) {
	case core.Spawn:
		m.pid = int(e.Copy.N)
		m.started++
		return core.Spawned{Copy: e.Copy, PID: m.pid}
	case core.Terminate:
		if m.obeys {
			m.end(e.Ref)
		}
	case core.KillMain:
		m.kill(e.Ref)
	case core.KillTree:
		m.kill(e.Ref)
	case core.Look:
		return core.Looked{Look: e, Gone: true}
	case core.Wake:
		m.wake = e.At
	}
	return nil
}

// kill has the process die in its own time.
func (m *machine) kill(ref keeper.Ref) {
	if m.pid != 0 && m.dying == 0 {
		m.dying, m.ref = m.now+m.killTakes, ref
	}
}

// die ends what was killed long enough ago.
func (m *machine) die() {
	if m.dying != 0 && m.now >= m.dying {
		m.end(m.ref)
	}
}

func (m *machine) end(ref keeper.Ref) {
	m.dying = 0
	if m.pid != 0 {
		m.ended = append(m.ended, core.Exited{Ref: ref, PID: m.pid, Status: -1})
		m.pid = 0
	}
}

// turn is one turn of the keeper, if it wants one or something is asked for.
func (m *machine) turn(asks ...core.Event) error {
	now := m.Moment()
	if len(asks)+len(m.ended) == 0 && m.wake > now.Boot {
		return nil
	}
	var err error
	ended := m.ended
	m.ended = nil
	for _, e := range append(append([]core.Event{core.Begin{}}, ended...), core.Tick{}) {
		_ = m.core.Drive(m, now, e)
	}
	for _, e := range asks {
		err = m.core.Drive(m, now, e)
	}
	m.core.Finish(m)
	return err
}

// etcd is what it knows of the one touch: on whose lease it stands, and when that ends.
type etcd struct {
	holder  int // a machine; -1 when the touch is absent
	token   int64
	rate    float64 // of its clock
	expires time.Duration
}

// A leader moves a process once the touch of its machine has expired in etcd. Whatever the clocks of the machines or that of etcd, however
// long a message takes, whenever renewals get lost, and though killing takes nearly all of deadline.ActTime, the old copy is dead by then.
func TestACopyIsDeadBeforeItsLeaseExpires(t *testing.T) {
	histories, moves, copies := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		histories++
		slow, store := 1./12, etcd{holder: -1, token: 1, rate: 1}
		if rapid.Bool().Draw(t, "etcd's clock is the wrong one") {
			slow, store.rate = 0.001, 1+upTo(1./12).Draw(t, "etcd's clock is fast by")
		}
		fleet := []*machine{newMachine(t, "m1", slow), newMachine(t, "m2", slow), newMachine(t, "m3", slow)}
		process := api.Process{Group: "a", Name: "a", Settings: api.Settings{StopWaitSecs: rapid.IntRange(0, 3).Draw(t, "stopwaitsecs"), Autorestart: api.RestartAlways}}
		cut := 0 // rounds for which the holder is cut off
		for now := time.Duration(0); now < 20*time.Second; now += step {
			for _, m := range fleet {
				m.now = now
			}
			if store.holder >= 0 && now >= store.expires {
				store.holder = -1
			}
			if store.holder < 0 {
				store = place(t, fleet, store, now, process)
				cut = rapid.IntRange(0, 100).Draw(t, "renewals until it is cut off")
				moves++
			} else if cut > 0 && now%(100*time.Millisecond) == 0 {
				cut--
				store.expires = renewed(t, fleet[store.holder], now, store)
			}
			alive := ""
			for i, m := range fleet {
				m.die()
				_ = m.turn()
				if m.pid != 0 {
					alive += fmt.Sprint(" m", i+1)
				}
			}
			if len(alive) > len(" m1") {
				t.Fatalf("after %v copies are alive on%s", now, alive)
			}
		}
		for _, m := range fleet {
			copies += m.started
		}
	})
	if moves < 2*histories || copies < 2*histories { // fewer with -short
		t.Errorf("%d moves and %d copies in %d histories show nothing", moves, copies, histories)
	}
}

// place starts the process on a machine under a new lease, which the machine's agent asked for a moment ago.
func place(t *rapid.T, fleet []*machine, store etcd, now time.Duration, p api.Process) etcd {
	store.holder, store.token = rapid.IntRange(0, len(fleet)-1).Draw(t, "machine"), store.token+1
	m := fleet[store.holder]
	m.obeys = rapid.Bool().Draw(t, "obeys")
	m.killTakes = time.Duration(upTo(float64(deadline.ActTime-2*step)).Draw(t, "killing takes"))
	store.expires = renewed(t, m, now, store)
	for token := range store.token { // what an earlier placement left there is over
		ref := keeper.Ref{ID: "a", Token: token}
		if m.core.Find(ref) == nil {
			_ = m.turn(core.Stop{Ref: ref})
			_ = m.turn()
			if err := m.turn(core.Forget{Ref: ref}); err != nil {
				t.Fatalf("forget %+v: %v", ref, err)
			}
		}
	}
	if err := m.turn(core.Start{Request: keeper.StartRequest{Token: store.token, Process: p, OnPartition: api.PartitionStop, Leases: []int64{store.token}}}); err != nil {
		t.Fatalf("start: %v", err)
	}
	return store
}

// renewed tells a keeper of a renewal that etcd has answered, and returns when the lease ends. The renewal was sent some time before it reached
// etcd, which counts from then.
func renewed(t *rapid.T, m *machine, now time.Duration, store etcd) time.Duration {
	took := time.Duration(rapid.IntRange(0, 400).Draw(t, "ms on the way")) * time.Millisecond
	sent := *m
	sent.now = max(now-took, 0)
	d := deadline.Of(sent.Moment(), ttl)
	_ = m.turn(core.Renew{Leases: []keeper.Lease{{ID: store.token, TTL: ttl, Deadline: d}}})
	arrived := now - time.Duration(upTo(float64(now-sent.now)).Draw(t, "arrived before"))
	return arrived + time.Duration(ttl*float64(time.Second)/store.rate)
}
