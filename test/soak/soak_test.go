package soak

import (
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/reaper"
)

var bin = build.Folder{Names: []string{"distsuperd", "distsuperagent", "distsuperctl"}}

func TestMain(m *testing.M) { os.Exit(reaper.Run(func() int { return run(m) })) }

func run(m *testing.M) int {
	defer bin.Remove()
	return m.Run()
}

func TestLongTheDaemonsOfAFleetDoNotGrow(t *testing.T) {
	gate.Long(t)
	o := Usual()
	o.Dir, o.Bin, o.Last, o.Say = t.TempDir(), bin.Path(t), time.Minute, func(what string) { t.Log(what) }
	series, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	grown, err := series.Growth()
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range grown {
		t.Error(what)
	}
	t.Log(series.Table())
}

// steady is what samples of a daemon are that does not leak: sometimes larger, because it was just doing something.
func steady(t *rapid.T, rounds int) []Sample {
	samples := make([]Sample, rounds)
	for i := range samples {
		more := 0
		if i%2 == 1 { // never in two rounds after one another: a few rounds would have nothing else
			more = rapid.IntRange(0, 50).Draw(t, "busy")
		}
		samples[i] = Sample{Goroutines: 40 + more, Descriptors: 20 + more, Threads: 10 + more/10, Memory: 20000 + 100*more}
	}
	return samples
}

func TestALeakIsFoundAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rounds := rapid.IntRange(fewest, 200).Draw(t, "rounds")
		if grown, err := (Series{"d": steady(t, rounds)}).Growth(); err != nil || len(grown) > 0 {
			t.Fatalf("a steady daemon: %v, %v", grown, err)
		}
		leaks := []func(*Sample, int){
			func(s *Sample, round int) { s.Goroutines += 2 * round },
			func(s *Sample, round int) { s.Descriptors += 2 * round },
			func(s *Sample, round int) { s.Threads += 3 * round },
			func(s *Sample, round int) { s.Memory += 10000 * round },
		}
		leak := rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, "leak")
		samples := steady(t, rounds)
		for i := range samples {
			leaks[leak](&samples[i], i)
		}
		if grown, _ := (Series{"d": samples}).Growth(); len(grown) != 1 {
			t.Fatalf("a leak of %s: %v", figures[leak].name, grown)
		}
		// A slow one, too, if it goes on for long enough.
		if rounds < 100 {
			return
		}
		samples = steady(t, rounds)
		for i := range samples {
			samples[i].Goroutines += i / 5
		}
		if grown, _ := (Series{"d": samples}).Growth(); len(grown) != 1 {
			t.Fatalf("a goroutine every five rounds: %v", grown)
		}
	})
}

func TestTooFewRoundsAreNotJudged(t *testing.T) {
	if _, err := (Series{"d": make([]Sample, fewest-1)}).Growth(); err == nil {
		t.Error("they are")
	}
}
