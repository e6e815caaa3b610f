package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Series are the samples of each daemon, one a round.
type Series map[string][]Sample

// fewest is how many rounds can be judged.
const fewest = 6

// A figure is one of a Sample, and how much of it is no growth.
type figure struct {
	name  string
	of    func(Sample) int
	slack func(early int) int
}

var figures = []figure{
	{"goroutines", func(s Sample) int { return s.Goroutines }, func(int) int { return 2 }},
	{"descriptors", func(s Sample) int { return s.Descriptors }, func(int) int { return 2 }},
	{"threads", func(s Sample) int { return s.Threads }, func(int) int { return 4 }},
	{"kB", func(s Sample) int { return s.Memory }, func(early int) int { return early/4 + 4096 }},
}

// halves are the least of a figure in the first and in the last half of what follows the first third of the rounds, in which
// a daemon gets as large as it needs to be. The least is what it has for sure: nothing in between can hide a leak there, nor feign one.
func (f figure) halves(samples []Sample) (early, late int) {
	settled := samples[len(samples)/3:]
	least := func(part []Sample) int {
		n := f.of(part[0])
		for _, s := range part {
			n = min(n, f.of(s))
		}
		return n
	}
	half := len(settled) / 2
	return least(settled[:half]), least(settled[half:])
}

// Growth says of which daemon what has grown; of too few rounds it is an error.
func (s Series) Growth() (grown []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if len(s[name]) < fewest {
			return nil, fmt.Errorf("%s was measured in %d rounds only, at least %d are needed", name, len(s[name]), fewest)
		}
		for _, f := range figures {
			if early, late := f.halves(s[name]); late > early+f.slack(early) {
				grown = append(grown, fmt.Sprintf("%s: %d %s, then %d", name, early, f.name, late))
			}
		}
	}
	return grown, nil
}

// Table has the figures that Growth judges, early and late, for people.
func (s Series) Table() string {
	var b strings.Builder
	b.WriteString("| daemon | goroutines | descriptors | threads | memory in kB |\n|---|---|---|---|---|\n")
	rounds := 0
	for _, name := range slices.Sorted(maps.Keys(s)) {
		rounds = max(rounds, len(s[name]))
		fmt.Fprintf(&b, "| %s |", name)
		for _, f := range figures {
			if len(s[name]) < fewest {
				b.WriteString(" ? |")
				continue
			}
			early, late := f.halves(s[name])
			fmt.Fprintf(&b, " %d → %d |", early, late)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\n%d rounds; the least of the early rounds → of the late ones\n", rounds)
	return b.String()
}

// last is the newest sample of all, in short.
func (s Series) last() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		n := s[name][len(s[name])-1]
		parts = append(parts, fmt.Sprintf("%s %d/%d/%d/%d", name, n.Goroutines, n.Descriptors, n.Threads, n.Memory))
	}
	return strings.Join(parts, ", ")
}
