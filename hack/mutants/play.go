package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/test/sim"
)

// story names what is played: "script: ...", "kept 1" or "seed 1".
type story string

// stories are all that are played, in this order: those that were written, those that are kept, and then seeds.
func stories(seeds int) (all []story) {
	for _, s := range sim.Scripts {
		all = append(all, story("script: "+s.Name))
	}
	for i := range sim.Kept() {
		all = append(all, story(fmt.Sprintf("kept %d", i+1)))
	}
	for i := range seeds {
		all = append(all, story(fmt.Sprintf("seed %d", i+1)))
	}
	return all
}

func (s story) play() sim.Result {
	if name, ok := strings.CutPrefix(string(s), "script: "); ok {
		for _, script := range sim.Scripts {
			if script.Name == name {
				return sim.RunScript(script, false)
			}
		}
	}
	if n, ok := s.number("kept "); ok && n <= uint64(len(sim.Kept())) {
		return sim.Play(sim.Kept()[n-1], false)
	}
	if n, ok := s.number("seed "); ok {
		return sim.Play(sim.OfSeed(n), false)
	}
	panic("there is no story " + string(s))
}

func (s story) number(kind string) (n uint64, ok bool) {
	text, ok := strings.CutPrefix(string(s), kind)
	n, err := strconv.ParseUint(text, 10, 64)
	return n, ok && err == nil && n > 0
}

// line is what a process that plays says: that a story begins, and then what became of it.
type line struct {
	Story   story  `json:"story"`
	Ended   bool   `json:"ended,omitempty"`
	Promise string `json:"promise,omitempty"` // that was broken
}

// promises beside those of the simulator.
const (
	noPanic  = "no Step panics"
	stepEnds = "each Step ends"
)

// Limits of a process that plays. A Step that does not end eats all memory of a host, or time for ever.
const (
	memoryLimit = 6 << 30
	storyLimit  = 30 * time.Second
)

// limitMemory has the kernel refuse memory beyond the limit, or beyond a lower one that there is already.
func limitMemory() error {
	var there syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &there); err != nil {
		return err
	}
	limit := min(memoryLimit, there.Max)
	return syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit})
}

// playAll plays on all cores until a promise is broken, and says so line by line.
func playAll(all []story, out io.Writer) {
	var (
		work   sync.WaitGroup
		mu     sync.Mutex // guards out
		next   atomic.Int64
		broken atomic.Bool
	)
	say := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(out).Encode(l)
	}
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for !broken.Load() {
				i := next.Add(1) - 1
				if i >= int64(len(all)) {
					return
				}
				s := all[i]
				say(line{Story: s})
				promise := playOne(s)
				say(line{Story: s, Ended: true, Promise: promise})
				if promise != "" {
					broken.Store(true)
				}
			}
		})
	}
	work.Wait()
}

// playOne returns the promise that a story breaks, "" for none.
func playOne(s story) (promise string) {
	defer func() {
		if recover() != nil {
			promise = noPanic
		}
	}()
	if r := s.play(); r.Broken != nil {
		return r.Broken.What
	}
	return ""
}
