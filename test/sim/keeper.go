package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/board"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
)

// Keeper is the keeper of a machine, with its guardian and the kernel's timer.
type Keeper struct {
	node
	m        *Machine
	core     *core.Core
	board    *board.Board
	instance string
	hello    keeper.Hello
	owner    string
	promises keeper.Promises

	copies   map[string]*copyOf // by process, those that the core knows
	exits    []core.Event       // for the next turn
	turning  bool               // one is queued
	wake     *timer
	guard    deadline.Deadline // when others step in
	guards   int               // counts its changes
	changed  []func()          // who waits for a change
	calls    []func()          // that break when it dies; of which most are over
	ending   bool
	mute     int  // by so many it tells nobody what became of runs
	late     hold // starts on their way to it
	guardian guardian
}

// guardian is the small process that kills what a dead or late keeper has left.
type guardian struct{ frozen int }

// spawnKeeper is how long a keeper takes to start.
const spawnKeeper = 50 * time.Millisecond

// Start begins a life: what earlier keepers of this boot have left is killed, and only then does it answer.
func (k *Keeper) Start() {
	if k.up || !k.m.on {
		return
	}
	k.begin()
	k.m.keepers++
	k.instance = fmt.Sprintf("%s-k%d", k.m.Name, k.m.keepers)
	for _, c := range slices.Clone(k.m.copies) {
		c.kill()
	}
	host := k.host.identity(k.m.directory)
	k.hello = keeper.Hello{Instance: k.instance, BootID: k.host.bootID(), PID: 1, Version: "sim", Containment: k.m.containment, Farewells: true,
		Predecessors: k.m.state.Dead(host, api.ProofSuccessor), Rebooted: k.m.state.Dead(host, api.ProofRebooted)}
	k.hello.Outcomes = k.m.state.OutcomesOf(slices.Concat(k.hello.Predecessors, k.hello.Rebooted)...)
	k.m.state.Keepers = slices.Insert(slices.Clone(k.m.state.Keepers), 0, contain.KeeperRecord{Instance: k.instance, BootID: host.BootID, Host: host})
	k.promises = keeper.Promises{}
	k.owner, k.copies, k.exits, k.turning, k.ending = "", map[string]*copyOf{}, nil, false, false
	k.guard, k.changed = deadline.None, nil
	k.core = core.New(k.host.moment(), core.Options{Linger: 2 * time.Second})
	k.board = board.New(k.instance)
	k.wake = k.newTimer(func() { k.turn(nil) })
	k.w.tell(k.m.Name, "keeper %s starts", k.instance)
}

// Crash ends the keeper at once. The kernel ends the main processes with it, and the guardian what they have started.
func (k *Keeper) Crash() {
	if !k.up {
		return
	}
	k.w.tell(k.m.Name, "keeper %s dies", k.instance)
	k.end()
	for _, broken := range append(k.calls, k.changed...) {
		k.w.After(k.local(), broken)
	}
	k.calls, k.changed = nil, nil
	for _, c := range slices.Clone(k.m.copies) {
		if c.instance == k.instance {
			c.exit(-1, "SIGKILL")
		}
	}
	k.sweep(k.instance)
}

// Shutdown has it stop everything and end.
func (k *Keeper) Shutdown() {
	if k.up {
		k.w.After(0, k.inLife(func() {
			_ = k.turn(func() error { return k.core.Drive(k, k.host.moment(), core.Shutdown{Why: "it was told to"}) })
		}))
	}
}

// sweep is the guardian's: it kills what its keeper has left, once it can.
func (k *Keeper) sweep(instance string) {
	boots := k.host.boots
	k.w.After(k.w.between(time.Millisecond, 20*time.Millisecond), func() {
		switch {
		case k.host.boots != boots:
		case k.guardianStill():
			k.sweep(instance)
		default:
			for _, c := range slices.Clone(k.m.copies) {
				if c.instance == instance {
					c.kill()
				}
			}
		}
	})
}

// guardianStill reports whether the guardian stands still. It does not while the agent, too, is dead or stands still: when all three of
// them enforce nothing, nothing is promised (hack/docs/safety.md has that among the limits).
func (k *Keeper) guardianStill() bool {
	a := k.m.Agent
	return k.guardian.frozen > 0 && a.up && a.frozen == 0
}

// setGuard arms those who step in: the guardian by both clocks, and the kernel's timer on the boot-time clock.
func (k *Keeper) setGuard(hard deadline.Deadline, at clock.Instant) {
	k.guard = hard
	k.guards++
	if hard == deadline.None {
		return
	}
	guards, life := k.guards, k.life
	k.guardianLooks(life, guards)
	k.w.At(k.host.when(at.Add(deadline.BackstopAfter)), func() {
		if k.up && k.life == life && k.guards == guards {
			k.w.tell(k.m.Name, "the kernel's timer ends the keeper")
			k.Crash()
		}
	})
}

// guardianLooks waits for the deadline by a timer on the boot-time clock, as package guardian does.
func (k *Keeper) guardianLooks(life, guards int) {
	if !k.up || k.life != life || k.guards != guards {
		return
	}
	now, late := k.host.moment(), k.guard.Before(-deadline.GuardianAfter)
	if now.Passed(late) {
		k.guardianActs(life, guards)
		return
	}
	k.w.At(k.host.when(now.Look(late)), func() { k.guardianLooks(life, guards) })
}

// guardianActs kills everything of a keeper that is late, and the keeper.
func (k *Keeper) guardianActs(life, guards int) {
	switch {
	case !k.up || k.life != life || k.guards != guards:
	case k.guardianStill():
		k.w.After(10*time.Millisecond, func() { k.guardianActs(life, guards) })
	default:
		k.w.tell(k.m.Name, "the guardian ends a keeper that is late")
		instance := k.instance
		k.Crash()
		for _, c := range slices.Clone(k.m.copies) {
			if c.instance == instance {
				c.kill()
			}
		}
	}
}

// soon has a turn come.
func (k *Keeper) soon() {
	if !k.turning {
		k.turning = true
		k.w.After(20*time.Microsecond, k.inLife(func() { k.turn(nil) }))
	}
}

// turn is one turn of the core, as package engine's loop has it.
func (k *Keeper) turn(ask func() error) (err error) {
	k.turning = false
	if len(k.calls) > 64 {
		k.calls = slices.Delete(k.calls, 0, 32)
	}
	now := k.host.moment()
	k.drive(now, core.Begin{})
	if k.m.waitsFor() > 0 {
		k.drive(now, core.KillTime{Took: k.m.KillTakes})
	}
	exits := k.exits
	k.exits = nil
	for _, e := range exits {
		k.drive(now, e)
	}
	k.drive(now, core.Tick{})
	if ask != nil {
		err = ask()
	}
	k.core.Finish(k)
	if k.ending {
		k.exit(k.over)
	}
	return err
}

func (k *Keeper) drive(now deadline.Moment, e core.Event) { _ = k.core.Drive(k, now, e) }

// over is the end of a keeper that was told to end.
func (k *Keeper) over() {
	now, _ := k.board.Look(0)
	k.m.state.Outcomes = slices.Concat(keeper.OutcomesOf(k.instance, now.Runs), k.m.state.Outcomes)
	k.w.tell(k.m.Name, "keeper %s ends", k.instance)
	k.Crash()
}

// Moment implements core.Shell.
func (k *Keeper) Moment() deadline.Moment { return k.host.moment() }

// Do implements core.Shell.
func (k *Keeper) Do(effect core.Effect) core.Event {
	switch e := effect.(type) {
	case core.Spawn:
		return k.spawn(e.Copy)
	case core.Terminate:
		k.terminate(k.copies[e.Ref.ID])
	case core.KillMain:
		if c := k.copies[e.Ref.ID]; c != nil {
			c.exit(-1, "SIGKILL")
		}
	case core.KillTree, core.KillRest:
		k.killTree(effect)
	case core.Look:
		c := k.copies[e.Copy.ID]
		return core.Looked{Look: e, Gone: c == nil || !c.alive()}
	case core.LeaveAlone:
		k.exits = append(k.exits, core.LeftAlone{Copy: e.Copy, Err: fmt.Errorf("not here")})
		k.soon()
	case core.Guard:
		k.setGuard(e.Hard, e.At)
	case core.Wake:
		k.wake.set(e.At)
	case core.End:
		k.ending = true
	default:
		k.tellBoard(effect)
	}
	return nil
}

func (k *Keeper) tellBoard(effect core.Effect) {
	switch e := effect.(type) {
	case core.Changed:
		k.board.Put(e.Run)
		if e.From != e.Run.State {
			k.w.tell(k.m.Name, "%s is %v (token %d) %s", e.Run.ID, e.Run.State, e.Run.Token, e.Run.Reason)
		}
	case core.Forgotten:
		delete(k.copies, e.Ref.ID)
		k.board.Remove(e.Ref)
	case core.Leases:
		k.board.SetLeases(e.Leases)
		return
	case core.Holding:
		k.board.SetHolding(e.Holding)
		return
	default:
		return
	}
	waiting := k.changed
	k.changed = nil
	for _, done := range waiting {
		k.w.After(k.local(), done)
	}
}

func (k *Keeper) killTree(effect core.Effect) {
	id := ""
	switch e := effect.(type) {
	case core.KillTree:
		id = e.Ref.ID
	case core.KillRest:
		id = e.Ref.ID
	}
	c := k.copies[id]
	if c == nil {
		return
	}
	least := time.Duration(0)
	if k.m.waitsFor() > 0 {
		least = k.m.KillTakes
	}
	k.w.After(k.w.between(least, k.m.KillTakes), c.kill)
}

func (k *Keeper) spawn(c core.Copy) core.Event {
	program := k.w.program(c.ID)
	if program.CannotSpawn || k.m.noSpawn+k.m.refuses > 0 {
		return core.SpawnFailed{Copy: c, Why: core.Failure{Text: "cannot spawn", Refused: k.m.refuses > 0}, At: k.host.Wall()}
	}
	k.m.pid++
	p := &copyOf{k: k, ref: c.Ref, instance: k.instance, pid: k.m.pid, children: program.Children, program: program}
	k.copies[c.ID] = p
	k.m.copies = append(k.m.copies, p)
	k.w.tell(k.m.Name, "%s starts as process %d (token %d)", c.ID, p.pid, c.Token)
	k.w.check.began(p)
	if program.Runs > 0 {
		k.w.After(k.w.between(program.Runs/2, program.Runs*3/2), func() { p.exit(program.Status, "") })
	}
	return core.Spawned{Copy: c, PID: p.pid, At: k.host.Wall()}
}

func (k *Keeper) terminate(c *copyOf) {
	if c != nil && !c.program.IgnoresTerm {
		k.w.After(c.program.StopTakes+k.w.between(0, 5*time.Millisecond), func() { c.exit(0, "SIGTERM") })
	}
}

// runs reports whether a living run of the process has the token.
func (k *Keeper) runs(process string, token int64) bool {
	if !k.up {
		return false
	}
	s, _ := k.board.Look(0)
	return slices.ContainsFunc(s.Runs, func(r keeper.Run) bool { return r.ID == process && r.Token == token && !r.Gone })
}

// handOn hands on the starts that were held up, in their order.
func (k *Keeper) handOn() {
	waiting := k.late.waiting
	k.late.waiting = nil
	for _, do := range waiting {
		_ = k.turn(func() error { do(); return nil })
	}
}

// local is how long a message between two processes of one host takes.
func (k *Keeper) local() time.Duration {
	return k.w.between(20*time.Microsecond, 300*time.Microsecond)
}

// keeperClient is what an agent has of its keeper: calls by tasks.
type keeperClient struct {
	keeper.Keeper // what nobody calls here
	a             *Agent
}

// callLimit bounds a call.
const callLimit = 5 * time.Second

var errNoKeeper = fmt.Errorf("sim: %w", keeper.ErrNoKeeper)

// ask makes one call, which the keeper takes in with a turn.
func (c keeperClient) ask(do func(k *Keeper) error) error {
	k, a := c.a.m.Keeper, c.a
	err := errNoKeeper
	if !k.up {
		a.w.sleep(k.local())
		return err
	}
	err = errTimeout
	a.w.await(func(done func()) {
		answer := a.inLife(func() { done() })
		broken := a.inLife(func() { err = errNoKeeper; done() })
		k.calls = append(k.calls, broken)
		a.w.After(k.local(), k.inLife(func() {
			e := k.turn(func() error { return do(k) })
			a.w.After(k.local(), func() { err = e; answer() })
		}))
		a.after(callLimit, done)
	})
	return err
}

func (c keeperClient) Hello(context.Context) (h keeper.Hello, err error) {
	err = c.ask(func(k *Keeper) error {
		h = k.hello
		h.Owner, h.Holds, h.Promises = k.owner, promise.Version, k.promises
		return nil
	})
	return h, err
}

func (c keeperClient) SetOwner(_ context.Context, owner string) error {
	return c.ask(func(k *Keeper) error { k.owner = owner; return nil })
}

func (c keeperClient) Changes(_ context.Context, since uint64) (s keeper.Snapshot, err error) {
	k, a := c.a.m.Keeper, c.a
	for {
		news, life := false, k.life
		if err := c.ask(func(k *Keeper) error { s, news = k.board.Look(since); return nil }); err != nil || news && (k.mute == 0 || since == 0) {
			return s, err
		}
		a.w.await(func(done func()) {
			if k.up && k.life == life {
				k.changed = append(k.changed, a.inLife(done))
			}
			a.after(2*time.Second, done)
		})
		if a.ctx.Err() != nil {
			return s, a.ctx.Err()
		}
		if !k.up || k.life != life {
			return s, errNoKeeper
		}
	}
}

func (c keeperClient) Start(_ context.Context, q keeper.StartRequest) error {
	start := func(k *Keeper) error {
		if q.Instance != "" && q.Instance != k.instance {
			return keeper.ErrNotFound
		}
		return k.core.Drive(k, k.host.moment(), core.Start{Request: q})
	}
	return c.ask(func(k *Keeper) (err error) {
		err = errTimeout
		k.late.pass(true, func() { err = start(k) })
		return err
	})
}

func (c keeperClient) Update(_ context.Context, q keeper.StartRequest) error {
	return c.event(core.Update{Request: q})
}

func (c keeperClient) Stop(_ context.Context, ref keeper.Ref) error {
	return c.event(core.Stop{Ref: ref})
}
func (c keeperClient) Kill(_ context.Context, ref keeper.Ref) error {
	return c.event(core.Kill{Ref: ref})
}

func (c keeperClient) Renew(_ context.Context, leases []keeper.Lease) error {
	return c.event(core.Renew{Leases: leases})
}

func (c keeperClient) Hold(_ context.Context, p keeper.Promises) error {
	return c.ask(func(k *Keeper) error {
		k.promises = p
		return k.core.Drive(k, k.host.moment(), core.Hold{Promises: p})
	})
}

func (c keeperClient) Forget(_ context.Context, ref keeper.Ref, _ bool) error {
	return c.event(core.Forget{Ref: ref})
}

func (c keeperClient) RemoveLogs(context.Context, string) error {
	return c.ask(func(*Keeper) error { return nil })
}

func (c keeperClient) Shutdown(context.Context) error { return c.event(core.Shutdown{}) }

func (c keeperClient) event(e core.Event) error {
	return c.ask(func(k *Keeper) error { return k.core.Drive(k, k.host.moment(), e) })
}
