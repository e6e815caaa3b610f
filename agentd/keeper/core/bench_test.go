package core

import (
	"fmt"
	"testing"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// free is a shell whose acts cost nothing.
type free struct{ pid int }

func (*free) Moment() deadline.Moment { return deadline.Now(clock.Real{}) }

func (f *free) Do(effect Effect) Event {
	switch e := effect.(type) {
	case Spawn:
		f.pid++
		return Spawned{Copy: e.Copy, PID: f.pid}
	case Look:
		return Looked{Look: e, Gone: true}
	}
	return nil
}

func turn(c *Core, f *free, events ...Event) {
	now := f.Moment()
	_ = c.Drive(f, now, Begin{})
	for _, e := range events {
		_ = c.Drive(f, now, e)
	}
	_ = c.Drive(f, now, Tick{})
	c.Finish(f)
}

// many is a core with so many processes that run.
func many(f *free, n int) *Core {
	c := New(f.Moment(), Options{})
	for i := range n {
		turn(c, f, kept(web(fmt.Sprint("p", i)), 7))
	}
	return c
}

// BenchmarkStart1000 is what a burst of starts costs where each comes in a turn of its own.
func BenchmarkStart1000(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		many(&free{}, 1000)
	}
}

// BenchmarkRestart is what a crash and its restart cost beside others that run.
func BenchmarkRestart(b *testing.B) {
	for _, others := range []int{0, 1000} {
		b.Run(fmt.Sprint("beside=", others), func(b *testing.B) {
			f := &free{}
			c := many(f, others)
			p := web("x")
			p.StartSecs = 0
			turn(c, f, kept(p, 7))
			b.ReportAllocs()
			for b.Loop() {
				c.byID["x"].life.Quick = 0
				turn(c, f, Exited{Ref: ref("x", 7), PID: f.pid, Status: 1})
			}
			if c.byID["x"].seen.Starts < 2 {
				b.Fatalf("%+v", c.byID["x"].seen)
			}
		})
	}
}
