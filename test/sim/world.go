package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

// Config says what is in a World. The zero value, but for the seed, is good.
type Config struct {
	Seed        uint64
	Noise       uint64 // of what happens on its own, such as delays
	Controllers int    // 2 unless set
	Machines    int    // 3 unless set
	Members     int    // of etcd; 3 unless set
	// Skew lets clocks go wrong by up to a twelfth.
	Skew bool
	// Story keeps what happened, for people.
	Story bool
}

// Violation is a promise that was broken.
type Violation struct {
	At   time.Duration
	What string // which promise
	Text string
}

func (v *Violation) Error() string { return fmt.Sprintf("at %v: %s: %s", v.At, v.What, v.Text) }

// World is a fleet with everything around it. It is used by one goroutine.
type World struct {
	cfg   Config
	now   time.Duration // true time since the beginning
	queue queue
	rnd   *rand.Rand
	task  *task // that runs
	steps int

	Keys         store.Keys
	Net          *network
	Etcd         *Etcd
	Controllers  []*Controller
	Machines     []*Machine
	Users        *User
	hosts        []*Host
	check        *checker
	programs     map[string]Program
	specs        map[string][]func(*api.Program) // as they were created
	wanted       []string                        // processes that were created
	mayEnd       map[string]bool                 // those that end by themselves
	twins        int                             // controllers with a copied state directory that there were
	longPromises time.Duration                   // until when promises may be out that were given with a farewell

	broken *Violation
	story  []Line
	log    *zap.Logger
}

// New makes a world in which every daemon begins at the true time 0.
func New(cfg Config) *World {
	if cfg.Controllers == 0 {
		cfg.Controllers = 2
	}
	if cfg.Machines == 0 {
		cfg.Machines = 3
	}
	if cfg.Members == 0 {
		cfg.Members = 3
	}
	w := &World{cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 1+cfg.Noise<<8)), Keys: store.NewKeys(""), log: zap.NewNop(), programs: map[string]Program{}, specs: map[string][]func(*api.Program){}, mayEnd: map[string]bool{}}
	if cfg.Story {
		w.log = zap.New(storyLog{w: w})
	}
	w.Net = &network{w: w, links: map[[2]int]*link{}}
	w.check = newChecker(w)
	w.newEtcd()
	for i := range cfg.Controllers {
		w.newController(fmt.Sprintf("d%d", i+1))
	}
	for i := range cfg.Machines {
		w.newMachine(fmt.Sprintf("m%d", i+1))
	}
	w.newUser()
	if cfg.Skew {
		w.skew()
	}
	return w
}

// skew has clocks go wrong, as far as the margins allow for: those that are slewed, by up to a twelfth, or both of a machine slow by
// that while etcd's is right.
func (w *World) skew() {
	slewed := func() float64 { return 1 + (2*w.rnd.Float64()-1)/12 }
	if w.chance(4) {
		for _, h := range w.hosts {
			if !w.Etcd.on(h) && w.chance(2) {
				h.rate, h.rawRate = 11./12, 11./12
			}
		}
		return
	}
	for _, h := range w.hosts {
		h.rate = slewed()
	}
}

// At has something happen at a true time, After some time from now.
func (w *World) At(at time.Duration, do func()) { w.queue.add(max(at, w.now), do) }

// After is At in d.
func (w *World) After(d time.Duration, do func()) { w.queue.add(w.now+max(d, 0), do) }

// chance is true once in n times.
func (w *World) chance(n int) bool { return w.rnd.IntN(n) == 0 }

// between draws a duration.
func (w *World) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rnd.Int64N(int64(most-least)+1))
}

// Run goes on until a true time, or until a promise is broken, which it returns.
func (w *World) Run(until time.Duration) *Violation {
	for w.broken == nil && len(w.queue.events) > 0 && w.queue.events[0].at <= until {
		e := w.queue.take()
		w.now = e.at
		w.steps++
		e.do()
	}
	w.now = max(w.now, until)
	return w.broken
}

// RunUntil goes on until cond holds, looking every 10 ms, and no longer than most. It reports whether it holds.
func (w *World) RunUntil(most time.Duration, cond func() bool) bool {
	for end := w.now + most; w.broken == nil && w.now < end; {
		if cond() {
			return true
		}
		w.Run(w.now + 10*time.Millisecond)
	}
	return w.broken == nil && cond()
}

// Broken is the promise that was broken, nil for none.
func (w *World) Broken() *Violation { return w.broken }

// violate notes the first promise that was broken.
func (w *World) violate(what, format string, args ...any) {
	if w.broken == nil {
		w.broken = &Violation{At: w.now, What: what, Text: fmt.Sprintf(format, args...)}
		w.tell("check", "PROMISE BROKEN: %s: %s", what, w.broken.Text)
	}
}

// program is how the copies of a process behave.
func (w *World) program(process string) Program { return w.programs[process] }

// restoreAll lets everything go on that no fault holds any more: what is down begins again.
func (w *World) restoreAll() {
	for _, c := range w.Controllers {
		if c.stood.Over { // whoever reads its log starts it again
			c.Crash()
		}
		c.Start()
	}
	for _, m := range w.Machines {
		m.PowerOn()
		m.Agent.Start()
		w.Users.uncordon(m.Name)
	}
	w.vouch()
}

// askEvery is how often an operator looks whether somebody waits for a word about a machine.
const askEvery = 5 * time.Second

// vouch is an operator who looks whether a controller waits for somebody's word that a machine is dead, and gives it where nothing lives.
func (w *World) vouch() {
	for _, id := range w.wanted {
		o := w.check.owner[id]
		if o.WaitingFor == api.WaitingForProof && len(w.check.alive[id]) == 0 &&
			!slices.ContainsFunc(w.Machine(o.Machine).copies, func(c *copyOf) bool { return c.instance == o.Instance }) {
			w.Users.Do("confirm the death of "+o.Machine, func(ctx context.Context, c *client.Client) error {
				_, err := c.ConfirmDead(ctx, o.Machine)
				return err
			})
		}
	}
	w.After(askEvery, w.vouch)
}

// Close ends everything that still waits.
func (w *World) Close() {
	for _, n := range w.nodes() {
		n.end()
	}
}

// nodes are all of them, in a fixed order.
func (w *World) nodes() (all []*node) {
	for _, c := range w.Controllers {
		all = append(all, &c.node)
	}
	for _, m := range w.Machines {
		all = append(all, &m.Agent.node, &m.Keeper.node)
	}
	return append(all, &w.Users.node)
}
