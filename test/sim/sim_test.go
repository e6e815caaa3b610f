package sim

import (
	"flag"
	"os"
	"reflect"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "play this seed alone, and print its story")
	seedsFlag = flag.Int("sim.seeds", 60, "how many seeds are played")
	firstFlag = flag.Uint64("sim.first", 1, "the first of them")
)

func TestWithoutFaultsEverythingRunsAndStaysWhereItIs(t *testing.T) {
	w := New(Config{Seed: 1, Story: true})
	defer w.Close()
	w.Pass(2 * time.Second)
	w.Users.Create("web", Program{StopTakes: time.Second})
	w.Pass(5 * time.Minute)
	if w.Broken() != nil || w.Alive("web") == "" || w.Starts("web") != 1 {
		WriteStory(os.Stdout, w.Story())
		t.Fatalf("%v, alive on %q, %d starts", w.Broken(), w.Alive("web"), w.Starts("web"))
	}
}

func TestASeedHasOneStory(t *testing.T) {
	for seed := range uint64(5) {
		if a, b := RunSeed(seed, true), RunSeed(seed, true); !reflect.DeepEqual(a, b) {
			WriteStory(os.Stdout, a.Story)
			WriteStory(os.Stdout, b.Story)
			t.Fatalf("seed %d: the second time something else happens", seed)
		}
	}
}

func TestScripts(t *testing.T) {
	for _, s := range Scripts {
		t.Run(s.Name, func(t *testing.T) {
			if r := RunScript(s, true); r.Broken != nil {
				WriteStory(os.Stdout, r.Story)
				t.Fatal(r.Broken)
			}
		})
	}
}

// show prints the story of a seed.
func show(seed uint64) {
	r := RunSeed(seed, true)
	WriteStory(os.Stdout, r.Story)
}

func TestSeeds(t *testing.T) {
	if *seedFlag != 0 {
		show(*seedFlag)
		return
	}
	began, passed, copies, steps := time.Now(), time.Duration(0), 0, 0
	for i := range *seedsFlag {
		seed := *firstFlag + uint64(i)
		r := RunSeed(seed, false)
		passed, copies, steps = passed+r.Time, copies+r.Copies, steps+r.Steps
		if r.Broken != nil {
			show(seed)
			t.Fatalf("seed %d: %v; again with make sim SEED=%d", seed, r.Broken, seed)
		}
	}
	took := time.Since(began)
	t.Logf("%v in %v, %.0f times real time; %d copies, %d events", passed, took, passed.Seconds()/took.Seconds(), copies, steps)
}
