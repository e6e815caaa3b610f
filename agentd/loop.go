package agentd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/lease"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

// slowTick is how often every process is looked at without a reason.
const slowTick = time.Minute

// loop is the agent's state machine. It is used by one goroutine and does no I/O: Step takes
// what happened and returns what is to be done.
type loop struct {
	machine string
	host    string // host name
	pid     int    // the agent's
	mode    mode.Mode
	ttl     int64 // of the alive key's lease while no process asks for a shorter one
	keys    store.Keys
	log     *zap.Logger
	wall    func() time.Time // for people only

	now     clock.Instant
	effects []effect
	wake    wakeups
	tick    clock.Instant

	mirror    *mirror
	ready     bool // the mirror has been read
	connected bool
	behind    error
	silent    error // the keeper does not answer
	refused   error // why etcd took the last write for no good, nil when it takes them

	// epoch counts keepers: answers of calls to an earlier one say nothing.
	epoch        int
	hello        keeper.Hello
	predecessors map[string]bool

	procs  map[string]*proc
	dirty  map[string]bool
	order  order
	queue  []string // processes whose status is to be written
	batch  bool     // a batch of statuses is under way
	leases leases
	own    own

	counted counted
}

func newLoop(o Options) *loop {
	return &loop{
		machine: o.Machine, host: o.Host, pid: o.PID, mode: o.Mode, ttl: o.TouchTimeout, keys: o.Keys, log: o.Log, wall: o.Clock.Wall,
		mirror: newMirror(o.Keys.Machine(o.Machine)), procs: map[string]*proc{}, dirty: map[string]bool{}, order: newOrder(),
		leases: newLeases(), own: own{info: o.Info},
	}
}

// Step takes one event in and returns what is to be done because of it.
func (l *loop) Step(now clock.Instant, ev event) []effect {
	l.now, l.effects = now, nil
	l.take(ev)
	for _, id := range l.wake.due(now) {
		l.dirty[id] = true
	}
	if now >= l.tick {
		l.tick = now.Add(slowTick)
		l.allDirty()
	}
	if l.ready && l.epoch > 0 && l.behind == nil {
		l.claim()
		l.planDirty()
		l.flush()
		l.checkLeft()
	}
	return l.effects
}

// Next is when Step wants to be called without an event.
func (l *loop) Next() clock.Instant { return min(l.wake.next(), l.tick, l.counted.recount()) }

func (l *loop) do(e effect) { l.effects = append(l.effects, e) }

func (l *loop) take(ev event) {
	switch ev := ev.(type) {
	case resetEvent:
		l.reset(ev)
	case applyEvent:
		l.changed(l.mirror.apply(ev.rev, ev.events))
	case connEvent:
		l.connected = ev.connected
	case behindEvent:
		l.fallBehind(ev.err)
	case keeperEvent:
		l.newKeeper(ev)
	case runsEvent:
		l.runs(ev.snapshot)
	case silentEvent:
		l.silent = ev.err
	case heldEvent:
		for _, h := range ev.leases {
			l.leases.hold(h.ID, h.TTL)
		}
	case leaseEvent:
		l.leaseNews(ev.changes)
	case txnEvent:
		l.txnAnswered(ev)
	case callEvent:
		l.callAnswered(ev)
	case grantEvent:
		l.granted(ev)
	case remainingEvent:
		l.remaining(ev)
	case leaveEvent:
		l.leave()
	case infoEvent:
		l.own.info, l.own.encoded = ev.info, nil
	}
}

// reset takes a whole reading of the store. One that is older than what was seen is of a restored store.
func (l *loop) reset(ev resetEvent) {
	if ev.rev < l.mirror.rev {
		l.fallBehind(fmt.Errorf("%w: it is at revision %d, and %d was seen: it was restored from a snapshot or wiped",
			store.ErrBehind, ev.rev, l.mirror.rev))
		return
	}
	if l.behind != nil {
		l.behind = nil
		l.do(haltEffect{false})
		l.allDirty()
	}
	l.ready = true
	l.changed(l.mirror.reset(ev.rev, ev.entries))
}

func (l *loop) fallBehind(err error) {
	if l.behind == nil {
		l.log.Error("the store is behind what was seen before: nothing is started and no lease is renewed. "+
			"Point this agent at the right etcd; if it was restored on purpose, stop what runs here "+
			"(distsuperagent stop --all) and start the agent anew", zap.Error(err))
	}
	l.behind = err
	l.do(haltEffect{true})
}

// changed brings the processes in step with keys of the mirror.
func (l *loop) changed(keys []string) {
	for _, key := range keys {
		n, err := l.keys.Parse(key)
		if err != nil {
			continue
		}
		switch n.Kind {
		case store.KindPlacement, store.KindTouch, store.KindStatus:
			l.refresh(l.proc(n.ID), n.Kind, key)
			l.dirty[n.ID] = true
		}
	}
}

func (l *loop) proc(id string) *proc {
	p := l.procs[id]
	if p == nil {
		p = newProc(id)
		l.procs[id] = p
	}
	return p
}

func (l *loop) refresh(p *proc, kind store.Kind, key string) {
	e, found := l.mirror.get(key)
	var err error
	switch kind {
	case store.KindPlacement:
		p.placement = nil
		if found {
			var v api.Placement
			v, err = store.Decode[api.Placement](e)
			p.placement = &plan.Placement{Placement: v, Rev: e.ModRev}
		}
	case store.KindTouch:
		p.touch = nil
		if found {
			var v api.Touch
			v, err = store.Decode[api.Touch](e)
			p.touch = &plan.Touch{Touch: v, Rev: e.ModRev, Lease: int64(e.Lease)}
		}
	case store.KindStatus:
		p.memory.LogsGone = !found && (p.status != nil || p.memory.LogsGone)
		p.status = nil
		if found {
			var v api.Status
			v, err = store.Decode[api.Status](e)
			p.status = &plan.Status{Status: v, Rev: e.ModRev, Value: e.Value}
		}
	}
	delete(p.broken, key)
	if err != nil {
		p.broken[key] = true
		l.log.Error("a key cannot be read: nothing is done about its process until it is written anew",
			zap.String("process", p.id), zap.Error(err))
	}
}

func (l *loop) allDirty() {
	for id := range l.procs {
		l.dirty[id] = true
	}
}

// planDirty looks at every process of which something changed, in supervisor's order, and then at those that waited
// for one of them.
func (l *loop) planDirty() {
	for {
		l.planOnce()
		held := l.order.release()
		if len(held) == 0 {
			return
		}
		for _, id := range held {
			l.dirty[id] = true
		}
	}
}

func (l *loop) planOnce() {
	var procs []*proc
	for id := range l.dirty {
		if p := l.procs[id]; p != nil {
			procs = append(procs, p)
		}
	}
	clear(l.dirty)
	slices.SortFunc(procs, inOrder(l.own.leaving))
	m := l.view()
	for _, p := range procs {
		l.plan(m, p)
	}
}

// view is the machine as package plan sees it.
func (l *loop) view() plan.Machine {
	return plan.Machine{Name: l.machine, Keys: l.keys, Instance: l.hello.Instance, Predecessors: l.predecessors,
		Held: l.leases.serving(), Claimed: l.own.claimed, Leaving: l.own.leaving, Left: l.own.left}
}

func (l *loop) plan(m plan.Machine, p *proc) {
	defer l.order.note(p)
	if len(p.broken) > 0 {
		return
	}
	l.assign(p)
	for _, a := range plan.Decide(m, p.view()) {
		switch {
		case a.Kind == plan.Grant:
			l.want(p, a.TTL)
		case a.Kind == plan.Report:
			l.enqueue(p)
		case a.Kind.Store():
			l.transact(p, a)
		default:
			l.call(p, a)
		}
	}
	if p.empty() {
		l.leases.assign(p, 0)
		delete(l.procs, p.id)
	}
}

// begin takes a slot, or sees to another look when its pause is over.
func (l *loop) begin(p *proc, s *slot) bool {
	ok, until := s.free(l.now)
	if !ok {
		l.wake.add(until, p.id)
		return false
	}
	s.busy = true
	return true
}

func (l *loop) transact(p *proc, a plan.Action) {
	if !l.begin(p, &p.store) {
		return
	}
	if a.Kind == plan.Release {
		p.memory.Released = a.Token
	}
	p.putting = a.Kind == plan.PutTouch
	l.do(txnEffect{what: a.Kind.String(), procs: []string{p.id}, txn: a.Txn, events: a.History, reason: a.Reason,
		token: a.Token, lease: a.Lease})
}

func (l *loop) call(p *proc, a plan.Action) {
	if l.order.holds(a, p) || !l.begin(p, &p.keeper) {
		return
	}
	p.stopping = a.Kind == plan.Stop
	if a.Kind == plan.Start {
		request := a.Request
		p.memory.Doubt = &request
	}
	l.do(callEffect{l.epoch, a})
}

// txnAnswered: what the transaction did or read is known at once, without waiting for the watch.
func (l *loop) txnAnswered(ev txnEvent) {
	l.noteRefusal(ev.err)
	if len(ev.effect.procs) == 0 {
		l.ownAnswered(ev)
		return
	}
	if ev.effect.what == plan.Report.String() {
		l.batch = false
	}
	if errors.Is(ev.err, store.ErrLeaseNotFound) && ev.effect.lease != 0 {
		l.do(dropEffect{ev.effect.lease})
		l.loseLease(ev.effect.lease)
	}
	for _, id := range ev.effect.procs {
		p := l.proc(id)
		l.dirty[id], p.putting = true, false
		if ev.err == nil && ev.result.Succeeded {
			p.store.succeed()
			continue
		}
		first := p.store.fails == 0
		again := p.store.fail(l.now)
		if first && ev.err == nil {
			p.store.retry = l.now // the facts that it read again are fresh: decide at once
			continue
		}
		l.wake.add(again, id)
	}
	if ev.err == nil {
		l.changed(l.mirror.answer(ev.effect.txn, ev.result))
	}
}

// noteRefusal keeps in mind what waiting does not heal.
func (l *loop) noteRefusal(err error) {
	lasting := errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrPermission)
	switch {
	case err == nil:
		l.refused = nil
	case lasting && l.refused == nil:
		l.log.Error("etcd refuses to be written: nothing new is started, and what ends is not told", zap.Error(err))
		l.refused = err
	}
}

// leaseNews: renewals that the keeper knows, and leases that etcd says are gone.
func (l *loop) leaseNews(changes []lease.Change) {
	for _, c := range changes {
		if c.Kind == lease.Lost {
			l.loseLease(c.Lease.ID)
			continue
		}
		for id, p := range l.procs {
			if p.memory.Late == c.Lease.ID {
				p.memory.Late = 0
				l.dirty[id] = true
			}
		}
	}
}
