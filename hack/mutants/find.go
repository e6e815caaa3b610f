package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distsuper/distsuper/test/sim"
)

// Found is how a mutant was found; Promise is "" when it was not.
type Found struct {
	Promise string  // that was broken
	Script  string  // that broke it, "" when a seed did
	Seed    uint64  // that broke it
	Seeds   int     // that were played
	Seconds float64 // that it took
}

func (f Found) by() string {
	switch {
	case f.Promise == "":
		return "NOT FOUND"
	case f.Script != "":
		return "script: " + f.Script
	case f.Seed != 0:
		return fmt.Sprintf("seed %d", f.Seed)
	}
	return "a panic"
}

// find plays the scripts, and then seeds on all cores.
func find(seeds int) Found {
	began := time.Now()
	f := Found{}
	for _, s := range sim.Scripts {
		if r := sim.RunScript(s, false); r.Broken != nil {
			return Found{Promise: r.Broken.What, Script: s.Name, Seconds: time.Since(began).Seconds()}
		}
	}
	var (
		work   sync.WaitGroup
		mu     sync.Mutex // guards f
		next   atomic.Uint64
		broken atomic.Bool
	)
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for seed := next.Add(1); seed <= uint64(seeds) && !broken.Load(); seed = next.Add(1) {
				r := sim.Play(sim.OfSeed(seed), false)
				mu.Lock()
				f.Seeds++
				if r.Broken != nil && (f.Seed == 0 || seed < f.Seed) {
					broken.Store(true)
					f.Promise, f.Seed = r.Broken.What, seed
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	f.Seconds = time.Since(began).Seconds()
	return f
}
