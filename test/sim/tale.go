package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Tale is all that a story is made of: the same Tale is the same story, on any machine.
type Tale struct {
	Seed   uint64  `json:"seed"`            // of what there is: hosts, programs, clocks
	Noise  uint64  `json:"noise,omitempty"` // of what happens on its own, such as delays
	Faults []Fault `json:"faults"`
	// Why a tale is kept.
	Why string `json:"why,omitempty"`
}

// Result is what became of a Tale.
type Result struct {
	Tale
	Broken *Violation    // nil for none
	Story  []Line        // when it was asked for
	Steps  int           // events
	Time   time.Duration // that passed in the world
	Copies int           // that were started
	Worst  time.Duration // the longest that a wanted process was without a copy after everything was well again
}

const (
	calmUntil  = 6 * time.Second  // everything begins
	savedEvery = 7 * time.Second  // a snapshot of etcd is made
	faultTime  = 50 * time.Second // in which faults begin
	afterward  = 45 * time.Second // that the world goes on after the last fault has ended
)

// OfSeed is the tale of a seed.
func OfSeed(seed uint64) Tale {
	rnd := rand.New(rand.NewPCG(seed, 3))
	return Tale{Seed: seed, Faults: drawFaults(rnd, 1+rnd.IntN(10), calmUntil, calmUntil+faultTime)}
}

// Play plays a tale, and with story keeps what happened.
func Play(t Tale, story bool) Result {
	rnd := rand.New(rand.NewPCG(t.Seed, 2))
	w := New(Config{Seed: t.Seed, Noise: t.Noise, Controllers: 1 + rnd.IntN(3), Machines: 2 + rnd.IntN(3), Members: 1 + 2*rnd.IntN(2),
		Skew: rnd.IntN(2) == 0, Story: story})
	defer w.Close()
	w.uncontainSome(rand.New(rand.NewPCG(t.Seed, 4)))
	w.Run(2 * time.Second)
	w.Etcd.saveEvery(savedEvery)
	w.createSome(rnd)
	w.Inject(t.Faults...)
	end := calmUntil
	for _, f := range t.Faults {
		end = max(end, f.At+f.For)
	}
	w.Run(end)
	w.restoreAll()
	w.check.expectAll(w.now)
	w.Run(end + afterward + w.check.bound - Bound)
	w.check.atTheEnd()
	r := Result{Tale: t, Broken: w.broken, Story: w.story, Steps: w.steps, Time: w.now, Worst: w.check.worst}
	for _, name := range w.wanted {
		r.Copies += w.check.starts[name]
	}
	return r
}

// uncontainSome takes the cgroups of some machines away.
func (w *World) uncontainSome(rnd *rand.Rand) {
	for _, m := range w.Machines {
		if rnd.IntN(3) == 0 {
			m.Uncontained(between(rnd, 0, deadline.TreeTime))
		}
	}
}

// createSome has the user create some programs.
func (w *World) createSome(rnd *rand.Rand) {
	policies := rand.New(rand.NewPCG(w.cfg.Seed, 5))
	for _, name := range []string{"a", "b", "c"}[:1+rnd.IntN(3)] {
		p := Program{StopTakes: between(rnd, 0, 3*time.Second), IgnoresTerm: rnd.IntN(5) == 0, Children: rnd.IntN(3)}
		change := []func(*api.Program){TouchTimeout(2 + rnd.IntN(5)), OnPartition(api.PartitionStop)}
		switch rnd.IntN(6) {
		case 0: // it crashes now and then
			p.Runs, p.Status = between(rnd, 2*time.Second, 30*time.Second), 1
		case 1: // it does its work and is done
			p.Runs = between(rnd, 2*time.Second, 30*time.Second)
			w.mayEnd[name] = true
		}
		change = append(change, w.policy(policies, name)...)
		w.wanted = append(w.wanted, name)
		w.Users.Create(name, p, change...)
	}
}

// policy is what one program in some has otherwise: a policy that nobody wrote, a keep, or one machine only.
func (w *World) policy(rnd *rand.Rand, name string) (change []func(*api.Program)) {
	switch rnd.IntN(12) {
	case 0:
		w.check.kept[name] = true
		return []func(*api.Program){OnPartition(api.PartitionKeep)}
	case 1, 2:
		change = append(change, OnPartition(""))
	}
	if rnd.IntN(8) == 0 {
		on := w.Machines[rnd.IntN(len(w.Machines))].Name
		change = append(change, OnPartition(""), func(p *api.Program) { p.Machines = []string{on} })
	}
	return change
}

// String is the tale as Go and people read it.
func (t Tale) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, noise %d, %d faults:\n", t.Seed, t.Noise, len(t.Faults))
	for _, f := range t.Faults {
		fmt.Fprintf(&b, "%v\n", f)
	}
	return b.String()
}
