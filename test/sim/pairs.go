package sim

import "time"

// pairAt is when the first fault of a pair comes, and pairGrid when the second does, after it.
const pairAt = 8 * time.Second

var pairGrid = []time.Duration{0, 300 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 5 * time.Second, 8 * time.Second}

// pairFor is how long a fault of a pair lasts that does.
const pairFor = 7 * time.Second

// Pairs is how many tales there are of two faults: every pair of kinds, at each instant of a grid.
func Pairs() int { return len(kinds) * len(kinds) * len(pairGrid) }

// OfPair is one of them. Both faults hit where it matters: the machine with the process, the leaders.
func OfPair(i uint64) Tale {
	n := uint64(len(kinds))
	first, second, later := kinds[i%n], kinds[i/n%n], pairGrid[i/n/n%uint64(len(pairGrid))]
	fault := func(k kind, at time.Duration) Fault {
		f := Fault{At: at, Kind: k.name, B: 1}
		if k.most > 0 {
			f.For = min(pairFor, k.most)
		}
		return f
	}
	return Tale{Seed: i % 97, Faults: []Fault{fault(first, pairAt), fault(second, pairAt+later)}}
}
