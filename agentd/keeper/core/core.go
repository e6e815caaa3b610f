package core

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/promise"
)

// Options are what a Core is made of. All may be left zero.
type Options struct {
	// First are the processes that are expected at the start, in the order in which they are to be spawned: each waits
	// for those before it, as long as some come within FirstWait.
	First []string
	// Linger is how long a keeper that was told to end, and whose runs are all over, waits for the agent to fetch and
	// forget them, so that it can release them before the keeper is gone.
	Linger time.Duration
	// Mode: alone no deadline is counted, and children that a process leaves behind when it exits as expected and is not
	// started again live on, as leave_children has it.
	Mode mode.Mode
}

// Core is the state of a keeper. It belongs to one goroutine.
type Core struct {
	options   Options
	runs      []*run // in the order of their start
	byID      map[string]*run
	leases    map[int64]keeper.Lease
	forgotten map[string]int64 // by process, the last token that was forgotten: none up to it begins any more
	queue     *startQueue
	promises  keeper.Promises
	back      promise.Returns
	holding   bool              // Holding has told of runs
	killTime  time.Duration     // as KillTime told it last
	due       deadline.Deadline // nothing is to be enforced before
	guard     deadline.Deadline // as Guard told it last
	closing   *closing          // nil before a shutdown
	effects   []Effect

	limits     []Limited // that were told in this step or are to be; those up to limitsTold were
	limitsTold int
}

// New makes the core of a keeper that begins now.
func New(now deadline.Moment, o Options) *Core {
	return &Core{options: o, byID: map[string]*run{}, leases: map[int64]keeper.Lease{}, forgotten: map[string]int64{},
		queue: newStartQueue(o.First, now.Boot), due: deadline.None, guard: deadline.None}
}

// Step decides what an event means. Moments do not go back. The effects are valid until the next call. The error
// answers what was asked for; with one nothing of that has been done.
func (c *Core) Step(now deadline.Moment, e Event) ([]Effect, error) {
	c.begin()
	err := c.step(now, e)
	return c.effects, err
}

// Shell carries out what a Core decides.
type Shell interface {
	// Moment reads both clocks.
	Moment() deadline.Moment
	// Do carries an effect out. It returns the event that answers it, nil where none does or one comes later. It may not call the core.
	Do(e Effect) Event
}

// Drive steps an event, has a shell carry out what follows from it, and steps the answers until there are no more.
func (c *Core) Drive(s Shell, now deadline.Moment, e Event) error {
	c.begin()
	err := c.step(now, e)
	for i := 0; i < len(c.effects); i++ {
		effect := c.effects[i]
		answer := s.Do(effect)
		if answer == nil {
			continue
		}
		if _, forked := effect.(Spawn); forked { // which takes its time
			now = s.Moment()
		}
		_ = c.step(now, answer) // it is never refused
	}
	clear(c.effects)
	return err
}

// Finish does the rest of a turn after Tick and what was asked for: Next, and Settle. On a starved host a spawn may take a tenth of a
// second: then there is one a turn, so that what keeps the others alive is heard in between.
func (c *Core) Finish(s Shell) {
	now := s.Moment()
	for end := now.Boot.Add(SpawnTime); c.Waiting() && now.Boot.Before(end); now = s.Moment() {
		_ = c.Drive(s, now, Next{}) // nothing is asked for
	}
	_ = c.Drive(s, s.Moment(), Settle{})
}

// begin forgets what was emitted before.
func (c *Core) begin() { c.effects, c.limits, c.limitsTold = c.effects[:0], c.limits[:0], 0 }

func (c *Core) emit(e Effect) { c.effects = append(c.effects, e) }

// step takes an event in, enforces what is due, and goes on with a shutdown. What has happened is taken in before: a copy must be known before
// it can be fenced, and one that has ended gets no signal any more. What is asked for comes after.
func (c *Core) step(now deadline.Moment, e Event) (err error) {
	c.learn(now, e)
	c.enforce(now)
	switch e := e.(type) {
	case Start:
		err = c.start(now, e)
	case Update:
		err = c.update(now, e)
	case Stop:
		err = c.stop(now, e)
	case Kill:
		err = c.end(now, e.Ref, fsm.Kill)
	case Hold:
		c.hold(now, e.Promises)
	case Forget:
		err = c.forget(e.Ref)
	case Renew:
		c.renew(now, e.Leases)
	case Shutdown:
		c.shutdown(now, e.Why)
	case Tick:
		c.tick(now)
	case Next:
		c.next(now)
	case Settle:
		c.settle(now)
	}
	c.continueShutdown(now)
	c.tellLimits()
	return err
}

// learn takes in what has happened.
func (c *Core) learn(now deadline.Moment, e Event) {
	switch e := e.(type) {
	case Spawned:
		c.spawned(now, e)
	case SpawnFailed:
		c.spawnFailed(now, e)
	case Exited:
		c.exited(now, e)
	case SignalFailed:
		c.signalFailed(now, e)
	case Looked:
		c.looked(now, e)
	case LeftAlone:
		c.leftAlone(now, e)
	case OutputHeld:
		c.outputHeld(e)
	case KillTime:
		c.setKillTime(now, e.Took)
	}
}

// tick lets the passing of time have its effects on every run, and on the order of the first spawns.
func (c *Core) tick(now deadline.Moment) {
	for _, r := range c.runs {
		if r.life.Wake() <= now.Boot {
			c.advance(now, r, fsm.Event{Kind: fsm.Tick})
		}
		if r.searched() {
			c.emit(r.look())
		}
	}
	c.queue.tick(now.Boot)
}

// settle tells when the next turn is to come, and when others step in.
func (c *Core) settle(now deadline.Moment) {
	wake, hard := c.queue.wake(now.Boot), deadline.None
	for _, r := range c.runs {
		wake = min(wake, r.life.Wake(), r.nextLook(), now.Look(r.nextEnforced()))
		if r.guarded() {
			hard = deadline.Earlier(hard, r.fence.hard)
		}
	}
	if c.closing != nil {
		wake = min(wake, c.closing.until(c.options.Linger))
	}
	c.guardBy(now, hard)
	c.emit(Wake{At: wake})
}

// guardBy says when others step in.
func (c *Core) guardBy(now deadline.Moment, hard deadline.Deadline) {
	if enforcing {
		c.guard = hard
		c.emit(Guard{Hard: hard, At: now.Instant(hard)})
	}
}
