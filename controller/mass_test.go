package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// etcd stands still for longer than the leases: most machines vanish in one revision and return within a moment.
func TestMachinesThatAreLostAtOnceAreWaitedForAMoment(t *testing.T) {
	const start = clock.Instant(time.Hour)
	rev := int64(60)
	put := func(key string, v any) store.Change {
		return store.Change{Entry: store.Entry{Key: key, Value: store.Encode(v), ModRev: rev, CreateRev: rev, Version: 1}}
	}
	gone := func(machine string) store.Change {
		return store.Change{Kind: store.ChangeDelete, Entry: store.Entry{Key: testKeys.Alive(machine), ModRev: rev}}
	}
	back := func(machine string) store.Change {
		return put(testKeys.Alive(machine), api.Alive{Instance: "i-" + machine})
	}
	for _, c := range []struct {
		name   string
		lost   []string
		then   func() []store.Change // a second later
		placed time.Duration         // after the loss
	}{
		{"two of three", []string{"m1", "m2"}, func() []store.Change { return nil }, massHold},
		{"two of three, and both return", []string{"m1", "m2"}, func() []store.Change { return []store.Change{back("m1"), back("m2")} }, time.Second},
		{"two of three, and one returns", []string{"m1", "m2"}, func() []store.Change { return []store.Change{back("m1")} }, massHold},
		{"one of three", []string{"m1"}, func() []store.Change { return nil }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			core, now := newCore(), start
			var placed []time.Duration
			step := func(e Event) {
				for _, effect := range core.Step(now, time.Unix(1000, 0), e) {
					w, ok := effect.(Write)
					for _, op := range w.Txn.Then {
						if n, err := testKeys.Parse(op.Key); ok && err == nil && n.Kind == store.KindPlacement {
							placed = append(placed, now.Sub(start))
						}
					}
				}
			}
			change := func(events ...store.Change) {
				rev++
				step(ViewChanged{Rev: rev, Changes: events})
			}
			var entries []store.Entry
			for _, m := range []string{"m1", "m2", "m3"} {
				entries = append(entries, put(testKeys.Info(m), api.MachineInfo{Name: m}).Entry, back(m).Entry)
			}
			step(ViewReset{Rev: rev, Entries: entries})
			step(Elected{Leadership: store.Leadership{Key: "/distsuper/election/1", Rev: rev - 10}})
			var lost []store.Change
			for _, m := range c.lost {
				lost = append(lost, gone(m))
			}
			change(lost...)
			change(put(testKeys.Program("x"), api.Program{Name: "x", Numprocs: 1, ProcessName: "x", MaxFailCount: 3,
				Settings: api.Settings{Command: "/bin/x", TouchTimeout: 5}}), put(testKeys.Intent("x"), api.Intent{Want: api.WantRun}))
			now = start.Add(time.Second)
			if then := c.then(); len(then) > 0 {
				change(then...)
			}
			for core.Next().Sub(start) < 2*massHold && len(placed) == 0 {
				now = max(now, core.Next())
				step(Tick{})
			}
			if len(placed) != 1 || placed[0] != c.placed {
				t.Errorf("placed %v after the loss, want %v", placed, c.placed)
			}
		})
	}
}

// The store stands still for everybody for longer than the leases live, as a frozen etcd does, and then answers again.
func TestNothingMovesWhenAWholeFleetComesBackAtOnce(t *testing.T) {
	for _, late := range []time.Duration{0, 500 * time.Millisecond, 2 * time.Second} {
		t.Run("the last machine "+late.String()+" later", func(t *testing.T) {
			inCluster(t, func(c *cluster) {
				c.controller("d1")
				c.controller("d2")
				for _, name := range []string{"m1", "m2", "m3", "m4"} {
					c.agent(name, "i-"+name)
				}
				c.awaitAlive(4)
				c.program("x", 12)
				home, token := map[string]string{}, map[string]int64{}
				for i := range 12 {
					id := fmt.Sprintf("x:%d", i)
					c.await(id+" runs", func() bool { return c.runsOn(id) != "" })
					home[id], token[id] = c.runsOn(id), c.owner(id).Token
				}
				clients := []*memstore.Client{c.ctls["d1"].kv, c.ctls["d2"].kv}
				for _, name := range []string{"m1", "m2", "m3", "m4"} {
					clients = append(clients, c.agents[name].kv)
				}
				for _, kv := range clients {
					kv.Cut()
				}
				time.Sleep(9 * time.Second)
				for _, kv := range clients[:len(clients)-1] {
					kv.Heal()
				}
				time.Sleep(late)
				clients[len(clients)-1].Heal()
				for id, machine := range home {
					c.awaitRun(id, machine)
				}
				c.stays("nothing has moved", 20*time.Second, func() bool {
					for id := range home {
						if c.owner(id).Token != token[id] {
							return false
						}
					}
					return true
				})
			})
		})
	}
}
