package sim

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Campaign plays many seeds, on several cores.
type Campaign struct {
	First   uint64 // seed
	Seeds   int    // how many; 0 is until the context ends
	Workers int
	// Tale makes the tale of a seed; nil is OfSeed.
	Tale func(seed uint64) Tale
	// Progress, when set, is told every now and then.
	Progress func(Progress)
}

// Progress is what a campaign has done; World divided by the CPU time that it took says how much faster than real time it is.
type Progress struct {
	Seeds  int
	Steps  int64
	World  time.Duration // that passed in all the worlds
	Copies int
	Worst  time.Duration
}

// Run plays until all seeds are played, the context ends, or a promise is broken: then it returns what became of that seed.
func (c Campaign) Run(ctx context.Context) (done Progress, broken *Result) {
	tale := c.Tale
	if tale == nil {
		tale = OfSeed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next atomic.Int64
	var mu sync.Mutex // guards done and broken
	var workers sync.WaitGroup
	for range max(c.Workers, 1) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if c.Seeds > 0 && i >= int64(c.Seeds) {
					return
				}
				r := Play(tale(c.First+uint64(i)), false)
				mu.Lock()
				done.add(r)
				if r.Broken != nil && broken == nil {
					broken = &r
					cancel()
				}
				if c.Progress != nil {
					c.Progress(done)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return done, broken
}

func (p *Progress) add(r Result) {
	p.Seeds++
	p.Steps += int64(r.Steps)
	p.World += r.Time
	p.Copies += r.Copies
	p.Worst = max(p.Worst, r.Worst)
}
