package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Fault is something that goes wrong at a time and, where it lasts, for a while.
type Fault struct {
	At   time.Duration `json:"at"`
	For  time.Duration `json:"for,omitempty"` // 0: it does not last, or ends by itself
	Kind string        `json:"kind"`          // the name of one of kinds
	A    int           `json:"a"`             // A and B: whom it hits; what they mean is the kind's
	B    int           `json:"b"`
}

func (f Fault) String() string {
	text := fmt.Sprintf("%8.3f  %s %d %d", f.At.Seconds(), f.Kind, f.A, f.B)
	if f.For > 0 {
		text += fmt.Sprintf(" for %v", f.For.Round(time.Millisecond))
	}
	return text
}

// kind is a kind of fault. begin makes it and returns what ends it, nil where nothing does.
type kind struct {
	name   string
	most   time.Duration // that it lasts; 0 where it does not
	begin  func(w *World, f Fault) (end func())
	weight int // how often it is drawn, against others
}

// kinds are all of them, family by family. Their order is part of what a seed means.
var kinds = slices.Concat(daemonKinds, hostKinds, netKinds, etcdKinds, programKinds, userKinds, policyKinds, copyKinds, quorumKinds, restoreKinds, holdKinds)

// usual is the weight of a fault that has no other.
const usual = 2

// planted are faults that no seed draws: those of tests.
var planted []kind

// at is a fault without a duration.
func at(name string, begin func(w *World, f Fault)) kind {
	return kind{name: name, weight: usual, begin: func(w *World, f Fault) func() { begin(w, f); return nil }}
}

// lasting is one that ends.
func lasting(name string, most time.Duration, begin func(w *World, f Fault) func()) kind {
	return kind{name: name, weight: usual, most: most, begin: begin}
}

// weighing is a fault that is drawn more or less often than others.
func (k kind) weighing(weight int) kind {
	k.weight = weight
	return k
}

// drawKind draws one by its weight.
func drawKind(rnd *rand.Rand) kind {
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	left := rnd.IntN(sum)
	for _, k := range kinds {
		if left -= k.weight; left < 0 {
			return k
		}
	}
	panic("sim: weights do not sum up")
}

// machine counts from the one on which the first process is placed, controller from the leader, and member from etcd's leader: so that
// a fault, or two at once, hit those that matter more often than chance has it.
func (w *World) machine(i int) *Machine {
	base := 0
	if len(w.wanted) > 0 {
		on := w.check.placed[w.wanted[0]].machine
		base = max(slices.IndexFunc(w.Machines, func(m *Machine) bool { return m.Name == on }), 0)
	}
	return w.Machines[(base+i)%len(w.Machines)]
}

func (w *World) controller(i int) *Controller {
	base := max(slices.Index(w.Controllers, w.Leader()), 0)
	return w.Controllers[(base+i)%len(w.Controllers)]
}

func (w *World) member(i int) *Member { return w.Etcd.Members[(w.Etcd.leader+i)%len(w.Etcd.Members)] }

// Inject has faults happen.
func (w *World) Inject(faults ...Fault) {
	for _, f := range faults {
		k := kindOf(f.Kind)
		w.At(f.At, func() {
			w.tell("fault", "%s (%d, %d) for %v", f.Kind, f.A, f.B, f.For)
			end := k.begin(w, f)
			if end != nil {
				w.After(f.For, func() {
					w.tell("fault", "%s (%d, %d) is over", f.Kind, f.A, f.B)
					end()
				})
			}
		})
	}
}

func kindOf(name string) kind {
	for _, k := range append(slices.Clip(kinds), planted...) {
		if k.name == name {
			return k
		}
	}
	panic("sim: there is no fault " + name)
}

// drawFaults draws some faults within a time.
func drawFaults(rnd *rand.Rand, n int, from, until time.Duration) []Fault {
	var faults []Fault
	for range n {
		k := drawKind(rnd)
		f := Fault{At: between(rnd, from, until), Kind: k.name, A: drawIndex(rnd), B: drawIndex(rnd)}
		if k.most > 0 {
			f.For = between(rnd, 0, k.most)
			if rnd.IntN(2) == 0 {
				f.For /= 4
			}
		}
		faults = append(faults, f)
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return faults
}

func between(rnd *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rnd.Int64N(int64(most-least)+1))
}

// drawIndex is 0 every other time.
func drawIndex(rnd *rand.Rand) int { return rnd.IntN(2) * rnd.IntN(12) }
