package controller

import (
	"context"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// agent is as much of an agent as the controller can see: it touches before it starts, releases what has
// ended, and ends its copies before its lease can expire.
type agent struct {
	c              *cluster
	name, instance string
	kv             *memstore.Client
	cancel         context.CancelFunc
	wg             sync.WaitGroup

	mu       sync.Mutex // guards what follows
	lease    store.LeaseID
	term     uint64 // in which it was granted
	deadline time.Time
	runs     map[string]*run
	released map[string]int64 // process -> token
	lazy     bool             // touches nothing new
	blind    bool             // does not look at its keys
	most     int              // with more living copies it is too busy to renew its lease, until that has expired; 0 is no bound
	busy     time.Time        // until then
}

type run struct {
	token  int64
	lives  bool
	policy api.OnPartition
	end    *api.State // it ended by itself
}

const touchTTL = 5

func (c *cluster) agent(name, instance string, edit ...func(*api.MachineInfo)) *agent {
	ctx, cancel := context.WithCancel(c.ctx)
	a := &agent{
		c: c, name: name, instance: instance, kv: c.s.Client(name), cancel: cancel,
		runs: map[string]*run{}, released: map[string]int64{},
	}
	c.agents[name] = a
	info := api.MachineInfo{Name: name, API: name + ":3379"}
	for _, e := range edit {
		e(&info)
	}
	c.put(c.keys.Info(name), info)
	for _, loop := range []func(context.Context){a.renew, a.look} {
		a.wg.Go(func() { loop(ctx) })
	}
	a.wg.Go(func() { a.fence(ctx) })
	c.wg.Go(a.wg.Wait)
	return a
}

// die is the machine's sudden death.
func (a *agent) die() {
	a.cancel()
	a.wg.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, r := range a.runs {
		a.stopLocked(id, r)
	}
}

// set changes what the agent does.
func (a *agent) set(f func(a *agent)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a)
}

// finish lets a run end by itself.
func (a *agent) finish(process string, state api.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.runs[process]
	a.stopLocked(process, r)
	r.end = &state
}

func (a *agent) stopLocked(process string, r *run) {
	if r.lives {
		r.lives = false
		a.c.ended(process, a.name)
	}
}

func (a *agent) startLocked(process string, r *run) {
	if !r.lives && time.Now().Before(a.deadline) {
		r.lives = true
		a.c.began(process, a.name)
	}
}

// renew keeps the lease alive; a lost one is replaced.
func (a *agent) renew(ctx context.Context) {
	for {
		a.renewOnce(ctx)
		if !clock.Sleep(ctx, 800*time.Millisecond) {
			return
		}
	}
}

func (a *agent) renewOnce(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	sent := time.Now()
	a.mu.Lock()
	if a.overloadedLocked() && a.busy.Before(sent) {
		a.busy = sent.Add((touchTTL + 1) * time.Second)
	}
	lease, busy := a.lease, sent.Before(a.busy)
	a.mu.Unlock()
	if busy {
		return
	}
	if lease == 0 {
		l, err := a.kv.Grant(limited, touchTTL)
		if err != nil {
			return
		}
		alive := store.Encode(api.Alive{Instance: a.instance, Host: a.name})
		if _, err := a.kv.Txn(limited, store.Txn{Then: []store.Op{store.PutOn(a.c.keys.Alive(a.name), alive, l.ID)}}); err != nil {
			return
		}
		a.mu.Lock()
		a.term = l.Term
		a.mu.Unlock()
		a.renewed(l.ID, sent)
		return
	}
	s, err := a.kv.Renew(limited, 0)
	if err != nil {
		return
	}
	defer s.Close()
	if s.Send(lease) != nil {
		return
	}
	r, err := s.Recv()
	switch {
	case err != nil:
	case r.TTL <= 0:
		a.renewed(0, time.Time{})
	default:
		a.renewed(lease, sent)
	}
}

func (a *agent) overloadedLocked() bool {
	living := 0
	for _, r := range a.runs {
		if r.lives {
			living++
		}
	}
	return a.most > 0 && living > a.most
}

func (a *agent) renewed(lease store.LeaseID, sent time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lease = lease; lease != 0 {
		a.deadline = sent.Add(touchTTL*time.Second - deadline.Margin(touchTTL))
	}
}

// fence ends copies at the deadline of their lease.
func (a *agent) fence(ctx context.Context) {
	for clock.Sleep(ctx, 50*time.Millisecond) {
		a.mu.Lock()
		for id, r := range a.runs {
			if !time.Now().Before(a.deadline) && r.policy == api.PartitionStop {
				a.stopLocked(id, r)
			}
		}
		a.mu.Unlock()
	}
}

// look makes the machine match its keys, again and again.
func (a *agent) look(ctx context.Context) {
	for clock.Sleep(ctx, 50*time.Millisecond) {
		limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		a.lookOnce(limited)
		cancel()
	}
}

type slot struct {
	placement    *api.Placement
	touch        *api.Touch
	placementRev int64
	touchRev     int64
	statusRev    int64
}

func (a *agent) read(ctx context.Context) (map[string]*slot, error) {
	res, err := a.kv.Range(ctx, store.Range{Key: a.c.keys.Machine(a.name), Prefix: true})
	if err != nil {
		return nil, err
	}
	slots := map[string]*slot{}
	at := func(id string) *slot {
		if slots[id] == nil {
			slots[id] = &slot{}
		}
		return slots[id]
	}
	for _, e := range res.Entries {
		name, _ := a.c.keys.Parse(e.Key)
		switch name.Kind {
		case store.KindPlacement:
			v, _ := store.Decode[api.Placement](e)
			at(name.ID).placement, at(name.ID).placementRev = &v, e.ModRev
		case store.KindTouch:
			v, _ := store.Decode[api.Touch](e)
			at(name.ID).touch, at(name.ID).touchRev = &v, e.ModRev
		case store.KindStatus:
			at(name.ID).statusRev = e.ModRev
		}
	}
	return slots, nil
}

func (a *agent) lookOnce(ctx context.Context) {
	slots, err := a.read(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil || a.lease == 0 || a.blind {
		return
	}
	for id := range a.runs {
		if slots[id] == nil {
			slots[id] = &slot{}
		}
	}
	for id, s := range slots {
		r := a.runs[id]
		wanted := s.placement != nil && s.placement.Instance == a.instance && a.released[id] != s.placement.Token
		switch {
		case r != nil && (r.end != nil || !wanted || r.token != s.placement.Token):
			a.stopLocked(id, r)
			a.release(ctx, id, r, s)
		case r == nil && (!wanted || a.lazy):
		case r != nil && s.touch != nil && r.policy == s.placement.OnPartition:
			a.startLocked(id, r)
		default:
			a.touch(ctx, id, r, s)
		}
	}
}

// touch takes a placement, or keeps it after the lease was lost.
func (a *agent) touch(ctx context.Context, id string, r *run, s *slot) {
	st := api.Status{
		Token: s.placement.Token, Instance: a.instance, Observed: api.Observed{State: api.Running}, OnPartition: s.placement.OnPartition, Lease: int64(a.lease),
		LeaseTTL: touchTTL, LeaseTerm: a.term,
	}
	cmps := []store.Cmp{store.Unchanged(a.c.keys.Placement(a.name, id), s.placementRev)}
	if s.touch == nil || s.touch.Token != st.Token {
		cmps = append(cmps, store.Absent(a.c.keys.Touch(a.name, id)))
	}
	res, err := a.kv.Txn(ctx, store.Txn{If: cmps, Then: []store.Op{
		store.PutOn(a.c.keys.Touch(a.name, id), store.Encode(api.Touch{Token: st.Token, Instance: a.instance}), a.lease),
		store.Put(a.c.keys.Status(a.name, id), store.Encode(st)),
	}})
	switch {
	case err != nil:
	case !res.Succeeded:
		if r != nil {
			a.stopLocked(id, r)
		}
	default:
		if r == nil {
			r = &run{token: st.Token}
			a.runs[id] = r
		}
		r.policy = st.OnPartition
		a.startLocked(id, r)
	}
}

// release tells that the run is over.
func (a *agent) release(ctx context.Context, id string, r *run, s *slot) {
	state := api.Stopped
	if r.end != nil {
		state = *r.end
	}
	a.released[id] = r.token
	touch, status := a.c.keys.Touch(a.name, id), a.c.keys.Status(a.name, id)
	txn := store.Txn{
		If:   []store.Cmp{store.Absent(touch), store.Unchanged(status, s.statusRev)},
		Then: []store.Op{store.Put(status, store.Encode(api.Status{Token: r.token, Instance: a.instance, Observed: api.Observed{State: state}, Released: true}))},
	}
	if s.touch != nil {
		txn.If = []store.Cmp{store.Unchanged(touch, s.touchRev)}
		txn.Then = append(txn.Then, store.Delete(touch))
	}
	if res, err := a.kv.Txn(ctx, txn); err == nil && res.Succeeded {
		delete(a.runs, id)
	}
}
