package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/agentd"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/recovery"
)

// Agent is the distsuperagent of a machine.
type Agent struct {
	node
	m       *Machine
	belief  *belief
	kv      *kv
	keeper  keeperClient
	liaison agentd.Liaison
	core    *agentd.Core
	lease   *lease.Core
	doer    agentd.Doer
	tick    *timer
	beat    *timer

	renewals map[int64]*renewer
	renewing *timer
	known    []func() // who waits for the keeper's word about leases
	began    bool     // the main loop runs
	taking   bool     // changes of leases are on their way to the main loop
	first    agentd.NewKeeper
	leaving  bool
	hung     int // by so many its main loop takes nothing in, while leases are renewed
	left     bool
}

// Start begins a life, unless it lives or its host is off.
func (a *Agent) Start() {
	if a.up || !a.m.on {
		return
	}
	a.begin()
	a.w.tell(a.m.Name, "agent starts")
	a.m.agents++
	log := a.w.log.Named(a.m.Name)
	a.kv, a.keeper = newKV(&a.node), keeperClient{a: a}
	a.belief = believe(a.kv, &a.m.disk, &recovery.Reporter{Machine: a.m.Name})
	a.belief.awaitAccepted(a.begins, nil)
	host := a.host.identity(a.m.directory)
	a.liaison = agentd.Liaison{Machine: a.m.Name, Host: host, Keeper: a.keeper, Revive: a.revive, Silent: a.silent,
		Pause: func(_ context.Context, d time.Duration) { a.w.sleep(d) }, Log: log}
	a.core = agentd.NewCore(agentd.CoreOptions{Machine: a.m.Name, Host: host, Incarnation: fmt.Sprintf("%s-a%d", a.m.Name, a.m.agents),
		PID: a.m.agents, Mode: mode.Fleet, Holds: true, TouchTimeout: 5, Keys: a.w.Keys, Info: api.MachineInfo{Name: a.m.Name, API: a.m.Name + ":3379", Version: "sim", Fingerprint: "f-" + a.m.Name}, Log: log})
	a.lease = lease.NewCore(lease.CoreOptions{Endpoints: a.kv.Endpoints(), Log: log.Named("lease")}, a.host.Now())
	h := newHistory(a.kv, a.w.Keys, "agent "+a.m.Name)
	a.doer = agentd.Doer{Machine: a.m.Name, KV: a.kv.believed, Keeper: a.keeper, History: h.Op, HistoryLost: h.Forget, SearchHost: a.m.search, Controllers: a.controllers, Ask: a.ask,
		Observe: func(term uint64) { a.stepLease(lease.TermSeen{Term: term}) }, Clock: a.host, Log: log}
	a.renewals, a.known, a.began, a.taking, a.leaving, a.left = map[int64]*renewer{}, nil, false, false, false, false
	a.tick = a.newTimer(func() { a.step(agentd.Tick{}) })
	a.beat = a.newTimer(func() { a.step(agentd.Tick{}) })
	a.renewing = a.newTimer(func() { a.stepLease(lease.Tick{}) })
	a.run(a.open)
}

// Crash ends it at once; its keeper goes on.
func (a *Agent) Crash() {
	if a.up {
		a.w.tell(a.m.Name, "agent dies")
		a.end()
	}
}

// open is the order in which an agent begins: it agrees with the keeper, and renews what an earlier agent held before anything else.
func (a *Agent) open(ctx context.Context) {
	met, err := a.liaison.Connect(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.ends(err)
		return
	}
	a.first = met
	a.stepLease(lease.Adopted{Leases: met.Snapshot.Leases})
	a.stepLease(lease.Started{})
}

// settled goes on once every adopted lease has been tried.
func (a *Agent) settled() {
	a.began = true
	a.step(a.first)
	a.step(agentd.LeasesAdopted{Leases: a.lease.Leases()})
	a.run(func(ctx context.Context) {
		if err := a.liaison.Watch(ctx, a.first, a.step); ctx.Err() == nil {
			a.ends(err)
		}
	})
	a.run(func(ctx context.Context) {
		a.belief.awaitStore(ctx)
		if ctx.Err() == nil {
			a.follow()
		}
	})
	changed := func() { a.step(agentd.ControllersChanged{}) }
	follow(a.kv, store.Below(a.w.Keys.Controllers()), handler{reset: func(int64, []store.Entry) { changed() }, apply: func(int64, []store.Change) { changed() }})
}

// follow hears of every change below the machine's prefix.
func (a *Agent) follow() {
	follow(a.kv, store.Below(a.w.Keys.Machine(a.m.Name)), handler{
		reset: func(rev int64, all []store.Entry) { a.step(agentd.KeysReset{Rev: rev, Entries: all}) },
		apply: func(rev int64, changes []store.Change) { a.step(agentd.KeysChanged{Rev: rev, Changes: changes}) },
		state: func(connected bool, why error) { a.step(agentd.StoreConnection{Connected: connected, Why: why}) },
		failed: func(err error) {
			for _, lost := range agentd.Unfollowed(err) {
				a.step(lost)
			}
			a.after(agentd.FollowPause, a.follow)
		},
	})
}

// silent has the main loop hear that the keeper does not answer.
func (a *Agent) silent(_ context.Context, err error) {
	if a.began {
		a.step(agentd.KeeperConnection{Err: err})
	}
}

// revive starts a keeper where none lives.
func (a *Agent) revive(ctx context.Context) error {
	if a.m.Keeper.up {
		return nil
	}
	a.w.sleep(a.w.between(spawnKeeper/2, 2*spawnKeeper))
	if a.m.noKeeper > 0 {
		return errDisk
	}
	if ctx.Err() == nil && a.m.Keeper.frozen == 0 {
		a.m.Keeper.Start()
	}
	return nil
}

// beatEvery is how often the main loop shows life when nothing happens.
const beatEvery = 2 * time.Second

// step takes one event to the core, and begins what it wants done.
func (a *Agent) step(e agentd.Event) {
	if a.hung > 0 {
		return
	}
	now := a.host.Now()
	a.core.Heard(agentd.Renewals{Contact: a.lease.Contact(), Now: a.host.moment(), Leases: a.lease.Leases(), Paused: a.lease.Problem(now) != ""})
	effects := a.core.Step(now, a.host.Wall(), e)
	a.stepLease(lease.LoopAlive{})
	for _, effect := range effects {
		a.do(effect)
	}
	a.tick.set(a.core.Next())
	a.beat.set(now.Add(beatEvery))
}

func (a *Agent) do(e agentd.Effect) {
	switch e := e.(type) {
	case agentd.GrantLease:
		a.run(func(ctx context.Context) {
			l, err := lease.Granter{KV: a.kv.believed, Clock: a.host, Term: a.lease.Term, Hold: a.hold,
				Drop: func(id int64) { a.stepLease(lease.Dropped{Lease: id}) }}.Grant(ctx, e.TTL)
			if ctx.Err() == nil {
				a.step(agentd.Granted{Effect: e, Lease: l, Err: err})
			}
		})
	case agentd.DropLease:
		a.stepLease(lease.Dropped{Lease: e.Lease})
	case agentd.HaltRenewals:
		a.stepLease(lease.Halted{Halt: e.Halt})
	case agentd.TellBehind:
		a.belief.memory.Condemn(e.Err)
		a.run(func(ctx context.Context) { a.belief.report(ctx, e.Err, e.Held, e.Leases) })
	case agentd.Left:
		a.left = true
		a.w.tell(a.m.Name, "the machine is left; untold: %v", e.Untold)
	case agentd.Fail:
		a.ends(e.Err)
	default:
		a.run(func(ctx context.Context) {
			if answer := a.doer.Do(ctx, e); answer != nil && ctx.Err() == nil {
				a.step(answer)
			}
		})
	}
}

// ends has an agent end for good reason.
func (a *Agent) ends(err error) { a.exit(func() { a.fail(err) }) }

// begins has the agent begin a new life, in which the store is believed again.
func (a *Agent) begins() {
	a.w.tell(a.m.Name, "agent begins anew")
	_ = a.belief.memory.Close()
	a.end()
	a.w.After(200*time.Millisecond, a.Start)
}

// fail is the end of an agent for what an operator has to settle. Its service manager starts it again.
func (a *Agent) fail(err error) {
	a.w.tell(a.m.Name, "agent ends: %v", err)
	_ = a.belief.memory.Close()
	a.end()
	a.w.After(time.Second, a.Start)
}

// hold takes a new lease in, and is over when the keeper knows it.
func (a *Agent) hold(ctx context.Context, g lease.Granted) error {
	a.stepLease(g)
	version := a.lease.Version()
	for end := a.host.Now().Add(callLimit); !a.lease.Acknowledges(version); {
		if a.host.Now() >= end {
			return errTimeout
		}
		a.w.await(func(done func()) {
			a.known = append(a.known, done)
			a.after(time.Second, done)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// stepLease takes one event to the core of the leases.
func (a *Agent) stepLease(e lease.Event) {
	for _, effect := range a.lease.Step(a.host.moment(), e) {
		a.doLease(effect)
	}
	a.renewing.set(a.lease.Next())
}

func (a *Agent) doLease(e lease.Effect) {
	switch e := e.(type) {
	case lease.Renew:
		a.renew(e)
	case lease.TellKeeper:
		a.run(func(ctx context.Context) {
			err := a.keeper.Renew(ctx, e.Leases)
			if ctx.Err() == nil {
				a.stepLease(lease.KeeperAnswered{Err: err})
			}
		})
	case lease.FindLeader:
		a.run(func(ctx context.Context) {
			found := lease.FoundLeader(a.kv.Endpoints(), a.kv.believed.Members(ctx))
			if ctx.Err() == nil {
				a.stepLease(found)
			}
		})
	case lease.Acknowledged:
		known := a.known
		a.known = nil
		for _, done := range known {
			a.w.After(0, a.inLife(done))
		}
	case lease.Settled:
		a.w.After(0, a.inLife(a.settled))
	case lease.Changed:
		if !a.taking {
			a.taking = true
			a.w.After(0, a.inLife(a.takeChanges))
		}
	}
}

// takeChanges hands the main loop what became of leases.
func (a *Agent) takeChanges() {
	a.taking = false
	if a.began {
		a.step(agentd.LeasesChanged{Changes: a.lease.Take()})
	}
}

func (a *Agent) renew(e lease.Renew) {
	r := a.renewals[e.Lease]
	if r == nil {
		r = newRenewer(a.kv, store.LeaseID(e.Lease), func(ev renewal.Event) { a.stepLease(lease.Renewal{Lease: e.Lease, Event: ev}) })
		r.memory = a.kv.memory
		a.renewals[e.Lease] = r
	}
	r.do(e.Effect)
	if len(r.open) == 0 {
		delete(a.renewals, e.Lease)
	}
}

// Leave has the machine stop and release everything, as its shutdown does.
func (a *Agent) Leave() {
	if a.up && a.began {
		a.leaving = true
		a.step(agentd.Leave{})
	}
}
