package sim

import (
	"math/rand/v2"
	"time"
)

// Result is what became of a seed.
type Result struct {
	Seed   uint64
	Faults []Fault
	Broken *Violation // nil for none
	Story  []Line     // when it was asked for
	Steps  int
	Time   time.Duration // that passed in the world
	Copies int           // that were started
}

const (
	calmUntil = 5 * time.Second  // everything begins
	faultTime = 60 * time.Second // in which faults begin
	afterward = 60 * time.Second // until everything must run again
)

// RunSeed runs the story of a seed.
func RunSeed(seed uint64, story bool) Result {
	rnd := rand.New(rand.NewPCG(seed, 2))
	w := New(Config{Seed: seed, Controllers: 1 + rnd.IntN(3), Machines: 2 + rnd.IntN(2), Members: 1 + 2*rnd.IntN(2), Skew: rnd.IntN(2) == 0, Story: story})
	defer w.Close()
	faults := w.drawFaults(1+w.rnd.IntN(8), calmUntil, calmUntil+faultTime)
	return w.play(seed, faults)
}

// play runs a story with these faults.
func (w *World) play(seed uint64, faults []Fault) Result {
	w.Run(2 * time.Second)
	w.begin()
	w.Inject(faults...)
	end := calmUntil
	for _, f := range faults {
		end = max(end, f.At+f.For)
	}
	w.Run(end + afterward)
	if w.broken == nil {
		w.settled()
	}
	r := Result{Seed: seed, Faults: faults, Broken: w.broken, Story: w.story, Steps: w.steps, Time: w.now}
	for _, name := range w.wanted {
		r.Copies += w.check.starts[name]
	}
	return r
}

// begin has the user create some programs.
func (w *World) begin() {
	for _, name := range []string{"a", "b", "c"}[:1+w.rnd.IntN(3)] {
		p := Program{StopTakes: w.between(0, 4*time.Second), IgnoresTerm: w.chance(5), Children: w.rnd.IntN(3)}
		if w.chance(4) {
			p.Runs, p.Status = w.between(2*time.Second, 30*time.Second), 1
		}
		w.wanted = append(w.wanted, name)
		w.Users.Create(name, p, TouchTimeout(2+w.rnd.IntN(5)))
	}
}

// settled looks whether every wanted process runs.
func (w *World) settled() {
	for _, name := range w.wanted {
		if w.Alive(name) == "" && !w.RunUntil(10*time.Second, func() bool { return w.Alive(name) != "" }) && w.broken == nil {
			w.violate(RunsAgain, "%s does not run", name)
		}
	}
}
