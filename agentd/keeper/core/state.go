package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
	"github.com/distsuper/distsuper/pkg/promise"
)

// State is all that a Core knows, so that a keeper that is replaced in place hands it on: the Core that Import makes of it does with every
// later event what the one before would have done. Its JSON is read by other versions: a field keeps its name and meaning, and one that
// is missing must mean what the versions without it did.
type State struct {
	Runs      []runState       `json:"runs"` // in the order of their start
	Leases    []keeper.Lease   `json:"leases,omitempty"`
	Forgotten map[string]int64 `json:"forgotten,omitempty"`
	Queue     queueState       `json:"queue"`
	KillTime  time.Duration    `json:"kill_time,omitempty"`
	Promises  keeper.Promises  `json:"promises,omitzero"`
	Back      promise.Returns  `json:"back,omitempty"`
	Holding   bool             `json:"holding,omitempty"`
	// Due and Guard are told anew by the first turn. They are handed on so that nothing stands open until then.
	Due     deadline.Deadline `json:"due"`
	Guard   deadline.Deadline `json:"guard"`
	Closing *closingState     `json:"closing,omitempty"`
}

type runState struct {
	Request   keeper.StartRequest `json:"request"`
	Life      fsm.Lifecycle       `json:"life"`
	Soft      deadline.Deadline   `json:"soft"`
	Hard      deadline.Deadline   `json:"hard"`
	Held      deadline.Deadline   `json:"held,omitzero"`
	Limited   *limitedState       `json:"limited,omitempty"` // nil while nothing was told
	Copies    uint64              `json:"copies,omitempty"`
	Seen      seenState           `json:"seen"`
	Published *seenState          `json:"published,omitempty"` // where it is not Seen
	LastState api.State           `json:"last_state"`
	Ended     *endState           `json:"ended,omitempty"`
	Enforced  enforced            `json:"enforced,omitempty"`
	Silence   time.Duration       `json:"silence,omitempty"`
	LookAt    clock.Instant       `json:"look_at"`
	LookWait  time.Duration       `json:"look_wait,omitempty"`
	Leaving   bool                `json:"leaving,omitempty"`
}

type limitedState struct {
	Until deadline.Deadline `json:"until"`
	Stop  deadline.Deadline `json:"stop"`
}

type seenState struct {
	Observed api.Observed `json:"observed"`
	Cause    keeper.Cause `json:"cause,omitempty"`
	Done     bool         `json:"done,omitempty"`
	Gone     bool         `json:"gone,omitempty"`
	Settings int          `json:"settings,omitempty"`
}

type endState struct {
	PID      int    `json:"pid"`
	Status   int    `json:"status"`
	Signal   string `json:"signal,omitempty"`
	Core     bool   `json:"core,omitempty"`
	Expected bool   `json:"expected,omitempty"`
	Quick    bool   `json:"quick,omitempty"`
}

// queueState names runs by their processes: each that waits is one of State.Runs.
type queueState struct {
	Ready   []string      `json:"ready,omitempty"`
	Sorted  int           `json:"sorted,omitempty"`
	Spawned int           `json:"spawned,omitempty"`
	Room    int           `json:"room,omitempty"`
	Reopens clock.Instant `json:"reopens,omitempty"`
	Order   []string      `json:"order,omitempty"`
	Places  []string      `json:"places,omitempty"` // of Order, those that have a place
	Next    int           `json:"next,omitempty"`
	Arrived []string      `json:"arrived,omitempty"`
	Until   clock.Instant `json:"until"`
}

type closingState struct {
	Group string        `json:"group,omitempty"`
	Any   bool          `json:"any,omitempty"`
	Next  bool          `json:"next,omitempty"`
	Over  clock.Instant `json:"over"`
	Ended bool          `json:"ended,omitempty"`
}

// Export returns what the core knows. It is called between two turns.
func (c *Core) Export() State {
	s := State{Runs: []runState{}, Forgotten: c.forgotten, Queue: c.queue.export(), KillTime: c.killTime, Promises: c.promises, Back: c.back, Holding: c.holding, Due: c.due, Guard: c.guard}
	for _, r := range c.runs {
		s.Runs = append(s.Runs, r.export())
	}
	for _, lease := range c.leases {
		s.Leases = append(s.Leases, lease)
	}
	slices.SortFunc(s.Leases, func(a, b keeper.Lease) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	if e := c.closing; e != nil {
		s.Closing = &closingState{e.group, e.any, e.next, e.over, e.ended}
	}
	return s
}

func (r *run) export() runState {
	s := runState{Request: r.request, Life: r.life, Soft: r.fence.soft, Hard: r.fence.hard, Held: r.held, Copies: r.copies, Seen: r.seen.export(),
		LastState: r.lastState, Enforced: r.enforced, Silence: r.silence, LookAt: r.lookAt, LookWait: r.lookWait, Leaving: r.leaving}
	if r.published != r.seen {
		published := r.published.export()
		s.Published = &published
	}
	if r.limited != (Limited{}) {
		s.Limited = &limitedState{r.limited.Until, r.limited.Stop}
	}
	if e := r.ended; e != nil {
		s.Ended = &endState{e.pid, e.status, e.signal, e.core, e.expected, e.quick}
	}
	return s
}

func (s state) export() seenState { return seenState{s.Observed, s.cause, s.done, s.gone, s.settings} }

func (q *startQueue) export() queueState {
	s := queueState{Sorted: q.sorted, Spawned: q.spawned, Room: q.room, Reopens: q.reopens, Order: q.order, Next: q.next, Until: q.until}
	for _, r := range q.ready {
		s.Ready = append(s.Ready, r.ref().ID)
	}
	for place, id := range q.order {
		if _, expected := q.place[id]; expected {
			s.Places = append(s.Places, id)
		}
		if q.arrived[place] != nil {
			s.Arrived = append(s.Arrived, id)
		}
	}
	return s
}

// Import makes a core of what another has exported, which may have been one of another version. Of the options First is not looked at:
// what was expected is part of the state.
func Import(o Options, s State) (*Core, error) {
	c := &Core{options: o, byID: map[string]*run{}, leases: map[int64]keeper.Lease{}, forgotten: map[string]int64{},
		killTime: s.KillTime, promises: s.Promises, back: s.Back, holding: s.Holding, due: s.Due, guard: s.Guard}
	for _, lease := range s.Leases {
		c.leases[lease.ID] = lease
	}
	for id, token := range s.Forgotten {
		c.forgotten[id] = token
	}
	for _, one := range s.Runs {
		r := c.importRun(one)
		id := r.ref().ID
		if c.byID[id] != nil {
			return nil, fmt.Errorf("%s has two runs", id)
		}
		c.runs = append(c.runs, r)
		c.byID[id] = r
	}
	var err error
	if c.queue, err = c.importQueue(s.Queue); err != nil {
		return nil, err
	}
	if e := s.Closing; e != nil {
		c.closing = &closing{e.Group, e.Any, e.Next, e.Over, e.Ended}
	}
	return c, nil
}

func (c *Core) importRun(s runState) *run {
	r := &run{life: s.Life, fence: fence{s.Soft, s.Hard}, held: s.Held, copies: s.Copies, lastState: s.LastState, enforced: s.Enforced,
		silence: s.Silence, lookAt: s.LookAt, lookWait: s.LookWait, leaving: s.Leaving}
	c.configure(r, s.Request)
	r.seen = s.Seen.state()
	r.published = r.seen
	if s.Published != nil {
		r.published = s.Published.state()
	}
	if l := s.Limited; l != nil {
		r.limited = Limited{r.ref(), l.Until, l.Stop}
	}
	if e := s.Ended; e != nil {
		r.ended = &end{e.PID, e.Status, e.Signal, e.Core, e.Expected, e.Quick}
	}
	return r
}

func (s seenState) state() state { return state{s.Observed, s.Cause, s.Done, s.Gone, s.Settings} }

func (c *Core) importQueue(s queueState) (*startQueue, error) {
	q := newStartQueue(s.Order, 0)
	q.sorted, q.spawned, q.next, q.until, q.room, q.reopens = s.Sorted, s.Spawned, s.Next, s.Until, s.Room, s.Reopens
	for id := range q.place {
		if !slices.Contains(s.Places, id) {
			delete(q.place, id)
		}
	}
	waiting := func(id string) (*run, error) {
		r := c.byID[id]
		if r == nil {
			return nil, fmt.Errorf("%s is to be spawned and has no run", id)
		}
		r.queued = true
		return r, nil
	}
	for _, id := range s.Ready {
		r, err := waiting(id)
		if err != nil {
			return nil, err
		}
		q.ready = append(q.ready, r)
	}
	for _, id := range s.Arrived {
		r, err := waiting(id)
		if err != nil {
			return nil, err
		}
		q.arrived[slices.Index(s.Order, id)] = r
	}
	if s.Sorted > len(q.ready) || s.Next > len(s.Order) {
		return nil, fmt.Errorf("%d of %d runs that wait to be spawned are in their order", s.Sorted, len(q.ready))
	}
	return q, nil
}
