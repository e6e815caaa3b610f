package sim

import (
	"context"
	"flag"
	"os"
	"reflect"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/gate"
)

func init() {
	planted = append(planted, lasting("two copies", 10*time.Second, func(w *World, f Fault) func() {
		w.violate(OneCopy, "it was told to")
		return nil
	}))
}

var (
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
		if a, b := Play(OfSeed(seed), true), Play(OfSeed(seed), true); !reflect.DeepEqual(a, b) {
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

// campaign plays seeds, and says what it found.
func campaign(t *testing.T, c Campaign) {
	t.Helper()
	c.Workers = runtime.GOMAXPROCS(0)
	before := cpuTime(t)
	done, broken := c.Run(t.Context())
	if broken != nil {
		small := Shrink(broken.Tale, broken.Broken.What, 300)
		WriteStory(os.Stdout, Play(small, true).Story)
		t.Fatalf("seed %d: %v; shrunk to %v", broken.Seed, broken.Broken, small)
	}
	t.Logf("%d seeds, %v of the world, %.0f times real time on each core; %d copies, %d events, worst gap %v",
		done.Seeds, done.World, done.World.Seconds()/(cpuTime(t)-before).Seconds(), done.Copies, done.Steps, done.Worst)
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestSeeds(t *testing.T) { campaign(t, Campaign{First: *firstFlag, Seeds: *seedsFlag}) }

func TestKeptTales(t *testing.T) {
	for _, tale := range Kept() {
		if r := Play(tale, false); r.Broken != nil {
			t.Errorf("%v: %v", tale, r.Broken)
		}
	}
}

// Seeds that nobody has played: which ones depends on the day.
func TestLongFreshSeeds(t *testing.T) {
	gate.Long(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	first := uint64(time.Now().Unix()) * 1000
	t.Logf("from seed %d on", first)
	done, broken := Campaign{First: first, Workers: runtime.GOMAXPROCS(0)}.Run(ctx)
	if broken != nil {
		small := Shrink(broken.Tale, broken.Broken.What, 300)
		WriteStory(os.Stdout, Play(small, true).Story)
		t.Fatalf("seed %d: %v; shrunk to %v", broken.Seed, broken.Broken, small)
	}
	t.Logf("%d seeds, %v of the world, worst gap %v", done.Seeds, done.World, done.Worst)
}

// A part of all pairs of faults: make sim-pairs plays all of them.
func TestLongPairsOfFaults(t *testing.T) {
	gate.Long(t)
	const part = 30
	campaign(t, Campaign{Seeds: Pairs() / part, Tale: func(i uint64) Tale { return OfPair(i * part) }})
}

func TestAFailingTaleIsShrunk(t *testing.T) {
	tale := OfSeed(4)
	tale.Faults = append(tale.Faults, Fault{At: 20 * time.Second, Kind: "two copies", For: 8 * time.Second})
	small := Shrink(tale, OneCopy, 200)
	if len(small.Faults) != 1 || small.Faults[0].Kind != "two copies" || small.Faults[0].For > 4*time.Second {
		t.Fatalf("shrunk to %v", small)
	}
}
