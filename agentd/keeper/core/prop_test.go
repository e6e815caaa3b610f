package core

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// drawn is a world in which rapid decides. The world itself looks whether the promises of the package are kept.
type drawn struct {
	*world
	r       *rapid.T
	options Options
	token   int64
}

func newDrawn(r *rapid.T) *drawn {
	d := &drawn{r: r}
	if rapid.Bool().Draw(r, "first") {
		d.options.First = []string{"b", "a"}
	}
	d.options.Linger = time.Duration(rapid.IntRange(0, 2).Draw(r, "linger")) * time.Second
	d.world = newWorld(r, d.options)
	d.fate = fate{
		spawn: func() spawnFate {
			return rapid.SampledFrom([]spawnFate{succeeds, succeeds, succeeds, failsNow, failsLater, isRefused}).Draw(r, "spawn")
		},
		forkTakes: func() time.Duration {
			return rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 2 * time.Second}).Draw(r, "fork takes")
		},
		actTakes: func() time.Duration {
			return rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second}).Draw(r, "act takes")
		},
		stale:    func() bool { return rapid.IntRange(0, 3).Draw(r, "stale") == 3 },
		obeys:    func() bool { return rapid.Bool().Draw(r, "obeys") },
		children: func() int { return rapid.IntRange(0, 3).Draw(r, "children") },
		signal:   func() bool { return rapid.IntRange(0, 9).Draw(r, "signal") == 9 },
		leave: func() error {
			if rapid.Bool().Draw(r, "leave fails") {
				return errors.New("no")
			}
			return nil
		},
	}
	return d
}

func (d *drawn) process() api.Process {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(d.r, "process")
	return web(name, func(p *api.Process) {
		p.Group = rapid.SampledFrom([]string{name, "g"}).Draw(d.r, "group")
		p.GroupPriority = rapid.IntRange(0, 2).Draw(d.r, "priority")
		p.StartSecs = rapid.IntRange(0, 2).Draw(d.r, "startsecs")
		p.StartRetries = rapid.IntRange(0, 2).Draw(d.r, "startretries")
		p.StopWaitSecs = rapid.IntRange(0, 3).Draw(d.r, "stopwaitsecs")
		p.Autorestart = rapid.SampledFrom([]api.Autorestart{api.RestartAlways, api.RestartNever, api.RestartUnexpected}).Draw(d.r, "autorestart")
		p.StopAsGroup = rapid.Bool().Draw(d.r, "stopasgroup")
		p.LeaveChildren = rapid.Bool().Draw(d.r, "leave_children")
	})
}

func (d *drawn) request() keeper.StartRequest {
	d.token += int64(rapid.IntRange(0, 1).Draw(d.r, "token"))
	s := kept(d.process(), d.token)
	if rapid.IntRange(0, 3).Draw(d.r, "leased") > 0 {
		s = leased(s.Request.Process, d.token, rapid.SliceOfNDistinct(rapid.Int64Range(1, 3), 1, 2, rapid.ID).Draw(d.r, "leases")...)
	}
	return s.Request
}

// ask draws what is asked for.
func (d *drawn) ask() Event {
	refs := []keeper.Ref{ref("a", d.token)}
	for _, r := range d.c.runs {
		refs = append(refs, r.ref())
	}
	switch rapid.SampledFrom([]int{0, 0, 0, 2, 3, 4, 5, 6, 7, 7, 7, 7, 8, 8}).Draw(d.r, "ask") {
	case 8:
		return d.promised(rapid.SampledFrom(refs).Draw(d.r, "ref").ID, d.token)
	case 0:
		s := Start{Request: d.request()}
		if rapid.IntRange(0, 9).Draw(d.r, "refused") == 9 {
			s.Refused = &Failure{Text: "no", Refused: true}
		}
		return s
	case 2:
		// Settings of the run that is there, but with leases and limits of its own.
		q := d.request()
		for _, r := range d.c.runs {
			if r.ref().ID == q.Process.ID() {
				q.Token = r.request.Token
			}
		}
		return Update{q}
	case 3:
		return Stop{Ref: rapid.SampledFrom(refs).Draw(d.r, "ref")}
	case 4:
		return Kill{rapid.SampledFrom(refs).Draw(d.r, "ref")}
	case 5:
		return Forget{rapid.SampledFrom(refs).Draw(d.r, "ref")}
	case 6:
		if rapid.IntRange(0, 9).Draw(d.r, "shutdown") == 9 {
			return Shutdown{}
		}
	}
	var leases []keeper.Lease
	for _, id := range rapid.SampledFrom([][]int64{{1, 2, 3}, {1, 2, 3}, {1, 3}, {2}, nil}).Draw(d.r, "renewed") {
		leases = append(leases, d.lease(id, rapid.Int64Range(2, 5).Draw(d.r, "ttl")))
	}
	return Renew{leases}
}

// happen lets something happen to the processes, and time pass on both clocks, not at the same rate.
func (d *drawn) happen() {
	for _, id := range []string{"a", "b", "c", "g:a", "g:b", "g:c"} {
		if p := d.procs[id]; p != nil && p.pid != 0 && rapid.IntRange(0, 7).Draw(d.r, "dies") == 7 {
			d.die(p, rapid.SampledFrom([]int{0, 1, -1}).Draw(d.r, "status"))
		}
	}
	for _, clock := range []*int64{(*int64)(&d.now.Boot), &d.now.Raw} {
		*clock += rapid.SampledFrom([]int64{1e3, 1e6, 1e8, 3e8, 1e9, 2e9}).Draw(d.r, "passes") + rapid.Int64Range(0, 1e6).Draw(d.r, "ns")
	}
}

func (d *drawn) live(turns int) {
	d.turn(Renew{[]keeper.Lease{d.lease(1, 5), d.lease(2, 5), d.lease(3, 5)}}, Start{Request: d.request()})
	for range rapid.SampledFrom([]int{turns / 8, turns / 2, turns}).Draw(d.r, "turns") {
		var asks []Event
		for range rapid.IntRange(1, 3).Draw(d.r, "asks") {
			asks = append(asks, d.ask())
		}
		d.turn(asks...)
		if d.ended {
			return
		}
		d.happen()
	}
}

func TestNoHistoryBreaksThePromises(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDrawn(r)
		d.live(40)
		d.replay(d.options)
	})
}

// Whatever is to happen by the passing of time has not happened a nanosecond before the wake-up that was asked for.
func TestNothingIsDueBeforeTheWakeUp(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDrawn(r)
		d.live(20)
		if d.ended {
			return
		}
		d.turn()
		early := d.wake - 1
		if d.wake == clock.Never {
			early = d.now.Boot.Add(24 * time.Hour)
		}
		if early <= d.now.Boot || len(d.pending) > 0 {
			return
		}
		c := d.replay(d.options)
		now := deadline.Moment{Boot: early, Raw: d.now.Raw + int64(early-d.now.Boot)}
		effects, _ := c.Step(now, Tick{})
		for _, e := range effects {
			if _, looks := e.(Look); !looks {
				r.Fatalf("%T at %v before the wake-up: %+v", e, d.wake.Sub(early), e)
			}
		}
		if c.Waiting() {
			r.Fatalf("something is to be spawned before the wake-up")
		}
	})
}

// A shell that comes only when it was asked to enforces every deadline to the nanosecond.
func TestWakeUpsAloneAreInTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDrawn(r)
		d.fate.forkTakes, d.fate.actTakes = nil, nil
		for range rapid.IntRange(1, 15).Draw(r, "rounds") {
			d.turn(d.ask(), d.ask())
			for end := d.now.Boot.Add(3 * time.Second); !d.ended && d.now.Boot < end; {
				if len(d.pending) == 0 && d.wake > d.now.Boot {
					d.pass(min(d.wake, end).Sub(d.now.Boot))
				}
				d.turn()
			}
			if d.ended {
				break
			}
		}
		told := 0
		for _, s := range d.record {
			for _, e := range s.effects {
				f, is := e.(Fenced)
				if !is {
					continue
				}
				told++
				_, renews := s.event.(Renew)
				_, updates := s.event.(Update)
				if f.Killed && f.Left < 0 && !renews && !updates && !asked(d.record, s, f) {
					r.Fatalf("killed %v late by %T", -f.Left, s.event)
				}
			}
		}
	})
}

// asked reports whether a deadline had passed when it was set: by an update to a lease that is over.
func asked(record []step, late step, f Fenced) bool {
	return slices.ContainsFunc(record, func(s step) bool {
		u, is := s.event.(Update)
		return is && s.err == nil && u.Request.Process.ID() == f.Ref.ID && s.now.Boot <= late.now.Boot
	})
}

func TestAShutdownEnds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDrawn(r)
		d.live(20)
		d.fate.signal = nil
		if !d.ended {
			d.turn(Shutdown{})
		}
		d.until(5*time.Minute, "ended", func() bool { return d.ended })
		for id, p := range d.procs {
			if p.alive() {
				r.Fatalf("%s is alive after the end: %+v", id, *p)
			}
		}
		if err := d.hand(Start{Request: d.request()}); !errors.Is(err, keeper.ErrClosing) {
			r.Fatalf("a start after the end: %v", err)
		}
	})
}

// Of two runs that want the same at the same time, which comes first does not hang on chance.
func TestTheSameEventsHaveTheSameEffects(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(Renew{[]keeper.Lease{w.lease(1, 5), w.lease(2, 5), w.lease(3, 5)}})
	for i := range 50 {
		w.must(leased(web(fmt.Sprint("p", i)), 7, int64(1+i%3)))
	}
	for range 10 {
		w.turn()
		w.pass(time.Second)
	}
	w.turn(Renew{nil}, Shutdown{})
	for range 100 {
		w.replay(Options{})
	}
}
