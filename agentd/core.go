package agentd

import (
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

// slowTick is how often every process is looked at without a reason.
const slowTick = time.Minute

// CoreOptions of a Core; all but Info are needed.
type CoreOptions struct {
	Machine      string
	Host         api.HostIdentity // its boot id is the keeper's where none is given
	Incarnation  string           // of this agent
	PID          int              // the agent's
	Mode         mode.Mode
	Holds        bool  // there is a way to ask controllers
	TouchTimeout int64 // of the alive key's lease while no process asks for a shorter one
	Keys         store.Keys
	Info         api.MachineInfo
	Log          *zap.Logger
}

// Core is the agent's state machine. It is used by one goroutine and does no I/O: Step takes
// what happened and returns what is to be done.
type Core struct {
	o    CoreOptions
	wake wakeups
	tick clock.Instant

	mirror    *mirror
	ready     bool // the mirror has been read
	connected bool // the watch is
	etcd      etcd
	behind    error
	silent    error // the keeper does not answer
	refused   error // why etcd took the last write for no good, nil when it takes them
	// untaken is since when etcd has taken no write of those that were tried, 0 when it took the last one.
	untaken clock.Instant

	// epoch counts keepers: answers of calls to an earlier one say nothing.
	epoch int
	hello keeper.Hello
	// predecessors are the earlier keepers of which nothing is alive, and how that is known. Those of an earlier boot are among
	// them only once the machine's name is ours; proved has them before.
	predecessors map[string]api.Proof
	proved       map[string]api.Proof
	earlier      map[string]api.EarlierKeeper // keepers of which nothing is proved
	search       search
	outcomes     map[plan.Ended]keeper.Outcome

	procs  map[string]*proc
	dirty  map[string]bool
	order  order
	queue  []string // processes whose status is to be written
	batch  bool     // a batch of statuses is under way
	leases leases
	own    own
	hold   hold

	counted counted
}

// NewCore makes a Core that knows nothing yet.
func NewCore(o CoreOptions) *Core {
	return &Core{o: o, mirror: newMirror(o.Keys.Machine(o.Machine)), procs: map[string]*proc{}, dirty: map[string]bool{},
		order: newOrder(), leases: newLeases(), own: own{info: o.Info}}
}

// Step takes one event in and returns what is to be done because of it. wall is for people only.
func (c *Core) Step(now clock.Instant, wall time.Time, e Event) []Effect {
	s := &step{Core: c, now: now, wall: wall}
	s.take(e)
	s.logEtcd()
	for _, id := range s.wake.due(now) {
		s.look(id)
	}
	if now >= s.tick {
		s.tick = now.Add(slowTick)
		s.lookAtAll()
		s.dropOutlived()
	}
	switch {
	case s.epoch == 0:
	case s.ready && s.behind == nil:
		s.claim()
		s.planDirty()
		s.flush()
		s.checkLeft()
	case s.own.leaving:
		s.stopHere()
		s.checkLeft()
	}
	s.goOn(e)
	return s.effects
}

// Next is when Step wants a Tick.
func (c *Core) Next() clock.Instant {
	return min(c.wake.next(), c.tick, c.counted.recount(), c.etcd.next(), c.nextHold())
}

// step is one call of Step on its way.
type step struct {
	*Core
	now     clock.Instant
	wall    time.Time
	effects []Effect
}

func (s *step) do(e Effect) { s.effects = append(s.effects, e) }

func (s *step) take(ev Event) {
	switch ev := ev.(type) {
	case KeysReset:
		s.reset(ev)
	case KeysChanged:
		s.changed(s.mirror.apply(ev.Rev, ev.Changes))
	case StoreConnection:
		s.connected = ev.Connected
	case StoreBehind:
		s.fallBehind(ev.Err)
	case NewKeeper:
		s.newKeeper(ev)
	case RunsChanged:
		s.runsChanged(ev.Snapshot)
	case KeeperConnection:
		s.silent = ev.Err
	case LeasesAdopted:
		for _, h := range ev.Leases {
			s.leases.hold(h, h.TTL)
		}
	case LeasesChanged:
		s.leasesChanged(ev.Changes)
	case Written:
		s.written(ev)
	case Called:
		s.callAnswered(ev)
	case Granted:
		s.granted(ev)
	case HostSearched:
		s.hostSearched(ev)
	case LeaseAnswered:
		s.leaseAnswered(ev)
	case Leave:
		s.leave()
	case InfoChanged:
		s.own.info, s.own.encoded = ev.Info, nil
	}
}
