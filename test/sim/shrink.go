package sim

import (
	"slices"
	"time"
)

// Shrink makes a tale that breaks a promise as small as it can within so many plays, such that it still breaks that promise: it drops
// faults, and then shortens what is left.
func Shrink(t Tale, what string, plays int) Tale {
	s := &shrinking{what: what, plays: plays, best: t}
	for size := max(len(t.Faults)/2, 1); size > 0; size /= 2 {
		s.drop(size)
	}
	s.drop(1)
	s.shorten()
	return s.best
}

type shrinking struct {
	what  string
	plays int
	best  Tale
}

// noises is how many other courses of the same faults are tried.
const noises = 3

// fails reports whether these faults break the promise, and takes them as the best if so.
func (s *shrinking) fails(faults []Fault) bool {
	for noise := range uint64(noises) {
		if s.plays == 0 {
			return false
		}
		s.plays--
		t := s.best
		t.Faults, t.Noise = faults, s.best.Noise+noise
		if r := Play(t, false); r.Broken != nil && r.Broken.What == s.what {
			s.best = t
			return true
		}
	}
	return false
}

// drop leaves out so many faults at a time, wherever that still fails.
func (s *shrinking) drop(size int) {
	for i := 0; i < len(s.best.Faults); {
		faults := slices.Clone(s.best.Faults)
		if !s.fails(slices.Delete(faults, i, min(i+size, len(faults)))) {
			i += size
		}
	}
}

// shorten halves how long faults last, and rounds when they come.
func (s *shrinking) shorten() {
	for i := range s.best.Faults {
		for range 5 {
			faults := slices.Clone(s.best.Faults)
			if faults[i].For < 20*time.Millisecond {
				break
			}
			faults[i].For = (faults[i].For / 2).Round(time.Millisecond)
			if !s.fails(faults) {
				break
			}
		}
		faults := slices.Clone(s.best.Faults)
		if faults[i].At = faults[i].At.Round(time.Second / 2); faults[i].At != s.best.Faults[i].At {
			s.fails(faults)
		}
	}
}
