package sim

import (
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
)

// What each time until a process runs again is made of, beside touch_timeout.
const (
	scans     = 500 * time.Millisecond // in which etcd looks for leases that have expired
	reacts    = 100 * time.Millisecond // our part, with the start
	election  = electionTTL * time.Second
	extension = time.Second // by which a new leader of etcd prolongs every lease
)

// boundScripts hold the product to how soon a process runs again, fault by fault.
var boundScripts = append(bounds(2), bounds(5)...)

func bounds(touchTimeout int) []Script {
	ttl := time.Duration(touchTimeout) * time.Second
	again := func(name string, seed uint64, most time.Duration, fault func(w *World, on string)) Script {
		return Script{Name: fmt.Sprintf("%s, with a touch_timeout of %v: again within %v", name, ttl, most.Round(time.Millisecond)),
			Config: Config{Seed: seed}, Play: func(w *World) {
				w.runs("web", TouchTimeout(touchTimeout))
				on := w.Alive("web")
				fault(w, on)
				w.Await("web runs again", most, func() bool { return w.Alive("web") != "" && w.Alive("web") != on })
			}}
	}
	return []Script{
		again("a machine dies", 61, ttl+scans+reacts, func(w *World, on string) { w.Machine(on).PowerOff() }),
		again("a machine dies when an outage of etcd is over", 67, ttl+scans+reacts, func(w *World, on string) {
			for i := range w.Etcd.Members {
				w.Etcd.Crash(i)
			}
			w.Pass(30 * time.Second)
			for i := range w.Etcd.Members {
				w.Etcd.Recover(i)
			}
			w.Pass(40 * time.Second)
			w.Machine(on).PowerOff()
		}),
		again("a machine dies with the leader", 62, max(ttl, election)+scans+reacts, func(w *World, on string) {
			w.leads().Crash()
			w.Machine(on).PowerOff()
		}),
		again("a machine is cut off while a controller is away", 63, ttl+deadline.WaitTime(promise.Length)+scans+reacts, func(w *World, on string) {
			w.controller(1).Crash()
			w.cutFrom(w.Host(on), true, true)
		}),
		again("a machine dies, and etcd's leader just before its lease expires", 64, 2*ttl+leaderlessMost+extension+scans+deadline.WaitTime(ttl)+scans+reacts, func(w *World, on string) {
			w.Machine(on).PowerOff()
			w.Pass(ttl - 500*time.Millisecond)
			w.Etcd.Elect(leaderlessMost)
		}),
		again("a machine dies that is held by promise", 65, deadline.WaitTime(promise.Length)+reacts, func(w *World, on string) {
			w.cutFrom(w.Host(on), true, true)
			w.Pass(20 * time.Second)
			w.Await("web is held", 0, func() bool { return w.Alive("web") == on && w.Starts("web") == 1 })
			w.Machine(on).PowerOff()
		}),
		again("a machine dies while all controllers are replaced", 66, deadline.WaitTime(promise.NewcomerWait(promise.DefaultMaxHold))+scans+reacts, func(w *World, on string) {
			for _, d := range w.Controllers {
				d.Crash()
				d.Wipe()
				d.Start()
			}
			w.Machine(on).PowerOff()
		}),
	}
}
