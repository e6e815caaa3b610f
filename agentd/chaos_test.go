package agentd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// chaos is a world in which a small leader, as rule 5 wants it, moves processes between two machines,
// while everything fails at random. What it does not cover: two leaders, and keep.
type chaos struct {
	*world
	rnd   *rand.Rand
	want  map[string]bool
	owner map[string]chaosOwner

	mu     sync.Mutex // guards what faults are drawn from
	faults *rand.Rand
	calm   bool
}

type chaosOwner struct {
	box    *box
	token  int64
	placed bool
}

// lead does for one process what the leader would do now.
func (c *chaos) lead(name string) {
	o, owned := c.owner[name]
	if o.placed && !c.want[name] {
		_, err := c.leader.Txn(c.t.Context(), store.Txn{Then: []store.Op{store.Delete(c.keys.Placement(o.box.name, name))}})
		o.placed = err != nil
		c.owner[name] = o
	}
	if !c.want[name] {
		return
	}
	if o.placed && c.healthy(o) {
		return
	}
	var when []store.Cmp
	var ops []store.Op
	if owned {
		entry, found := c.entry(c.keys.Status(o.box.name, name))
		st, _ := get[api.Status](c.world, c.keys.Status(o.box.name, name))
		if _, touched := c.entry(c.keys.Touch(o.box.name, name)); touched || !c.free(st, found) {
			return
		}
		when = []store.Cmp{store.Absent(c.keys.Touch(o.box.name, name)), store.Unchanged(c.keys.Status(o.box.name, name), entry.ModRev)}
		ops = append(ops, store.Delete(c.keys.Placement(o.box.name, name)))
	}
	to := c.boxes[c.rnd.IntN(len(c.boxes))]
	alive, ok := get[api.Alive](c.world, c.keys.Alive(to.name))
	if !ok {
		return
	}
	p := api.Placement{Token: c.s.Rev(), Instance: alive.Instance, OnPartition: api.PartitionStop, Process: process(name)}
	p.Process.TouchTimeout = 2 + c.rnd.IntN(3)
	put := store.Put(c.keys.Placement(to.name, name), store.Encode(p))
	if owned && to == o.box {
		ops = nil
	}
	// Whether it happened is read: an answer may be lost.
	_, _ = c.leader.Txn(c.t.Context(), store.Txn{If: when, Then: append(ops, put)})
	if pl, _ := get[api.Placement](c.world, c.keys.Placement(to.name, name)); pl.Token == p.Token {
		c.owner[name] = chaosOwner{to, p.Token, true}
	}
}

// healthy: the placement is answered by a run or may still be, on a live machine.
func (c *chaos) healthy(o chaosOwner) bool {
	if c.rnd.IntN(200) == 0 {
		return false // a move, or a restart in place, without a reason
	}
	alive, ok := get[api.Alive](c.world, c.keys.Alive(o.box.name))
	pl, _ := get[api.Placement](c.world, c.keys.Placement(o.box.name, "web"))
	st, found := get[api.Status](c.world, c.keys.Status(o.box.name, "web"))
	return ok && alive.Instance == pl.Instance && !(found && st.Token == o.token && st.Released)
}

// free: released, never touched, or its lease is gone.
func (c *chaos) free(st api.Status, found bool) bool {
	if !found || st.Released {
		return true
	}
	_, err := c.s.Client("ask").TimeToLive(c.t.Context(), store.LeaseID(st.Lease))
	return err != nil
}

// upset does one random thing.
func (c *chaos) upset() {
	b := c.boxes[c.rnd.IntN(len(c.boxes))]
	switch c.rnd.IntN(16) {
	case 0:
		b.kv.Cut()
	case 1:
		b.kv.CutAnswers()
	case 2, 3, 4:
		b.kv.Heal()
	case 5:
		_ = b.stop()
	case 6, 7:
		if b.cancel == nil {
			b.start()
		}
	case 8:
		b.keeper.Crash()
	case 9:
		_ = b.keeper.CrashCopy("web", "SIGSEGV")
	case 10:
		c.s.Elect(time.Duration(c.rnd.IntN(3000)) * time.Millisecond)
	case 11:
		c.want["web"] = !c.want["web"]
	case 12:
		c.s.SetNoSpace(true)
	case 13, 14, 15:
		c.s.SetNoSpace(false)
	}
	c.s.Deliver()
}

func (c *chaos) fault(call memstore.Call) memstore.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calm || !slices.Contains([]string{"m1", "m2"}, call.Client) || c.faults.IntN(20) > 0 {
		return memstore.Pass
	}
	return []memstore.Fault{memstore.Refuse, memstore.LoseAnswer, memstore.HoldBack}[c.faults.IntN(3)]
}

func TestNeverTwoCopiesWhateverFails(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := &chaos{world: w, rnd: rand.New(rand.NewPCG(seed, 1)),
					faults: rand.New(rand.NewPCG(seed, 2)), want: map[string]bool{"web": true}, owner: map[string]chaosOwner{}}
				for _, name := range []string{"m1", "m2"} {
					b := w.box(name)
					b.revive = b.restartKeeper
					b.up()
				}
				w.s.Inject(c.fault)
				for range 1500 {
					c.lead("web")
					if c.rnd.IntN(30) == 0 {
						c.upset()
					}
					time.Sleep(time.Duration(c.rnd.IntN(400)) * time.Millisecond)
				}
				c.settle()
			})
		})
	}
}

// settle ends all trouble: one copy runs, of what the leader placed last.
func (c *chaos) settle() {
	c.t.Helper()
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
	c.want["web"] = true
	c.s.SetNoSpace(false)
	for _, b := range c.boxes {
		b.kv.Heal()
		if b.cancel == nil {
			b.start()
		}
	}
	c.s.Deliver()
	c.awaitFor(3*time.Minute, "one copy of what is placed", func() string {
		c.lead("web")
		alive := c.witness.Alive("web")
		if len(alive) != 1 || !c.owner["web"].placed || alive[0].Token != c.owner["web"].token {
			return fmt.Sprintf("alive %+v, placed %+v", alive, c.owner["web"])
		}
		return ""
	})
	b, token := c.owner["web"].box, c.owner["web"].token
	c.status(b, "web", token, running)
	c.t.Logf("%d copies, %d revisions", len(c.witness.Copies("web")), c.s.Rev())
}
