package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/view"
)

// Options say whose store is accepted. All are needed.
type Options struct {
	KV    store.KV
	Keys  store.Keys
	Clock clock.Clock
	By    string // who accepts it
	ID    string // of the acceptance: no other has it
	// Off are machines of which By has made sure that they are off.
	Off []string
	// Expand and Fingerprint are spec.Processes and spec.Fingerprint.
	Expand      view.Expand
	Fingerprint func(api.Process) string
}

// fenceTTL is for how long nobody leads, in seconds, should Accept be broken off. While it goes on the fence is renewed.
const fenceTTL = 60

// errChanged says that something changed while it was looked at.
var errChanged = errors.New("the store changed meanwhile")

// Look reads what is known, and says what Accept would do, once there is a schema.
func Look(ctx context.Context, o Options) (Plan, error) {
	s, _, err := read(ctx, o)
	if err != nil && !errors.Is(err, store.ErrNoSchema) {
		return Plan{}, err
	}
	return Decide(s), nil
}

// read reads the situation, and the revision of the schema.
func read(ctx context.Context, o Options) (s Situation, schemaRev int64, err error) {
	pages := func(span store.Span, rev int64) (store.RangeResult, error) {
		return store.ReadPages(ctx, o.KV, store.Range{Span: span, Limit: 1000, Rev: rev})
	}
	state, err := pages(o.Keys.State(), 0)
	if err != nil {
		return s, 0, fmt.Errorf("read the store: %w", err)
	}
	seen, err := pages(store.Below(o.Keys.ControllersSeen()), state.Rev)
	if err != nil {
		return s, 0, fmt.Errorf("read the store: %w", err)
	}
	res, err := o.KV.Range(ctx, store.Range{Key: o.Keys.Schema(), Rev: state.Rev})
	if err != nil {
		return s, 0, fmt.Errorf("read the store: %w", err)
	}
	var e *store.Entry
	if len(res.Entries) > 0 {
		e, schemaRev = &res.Entries[0], res.Entries[0].ModRev
	}
	var noSchema error
	if s.Schema, err = store.DecodeSchema(o.Keys, e); errors.Is(err, store.ErrNoSchema) {
		noSchema = err
	} else if err != nil {
		return s, 0, err
	}
	s.View, _ = view.New(o.Keys, o.Expand).Reset(state.Rev, state.Entries)
	s.Fingerprint, s.Reports, s.Controllers = o.Fingerprint, map[string]Report{}, map[string]api.Seen{}
	for _, e := range slices.Concat(state.Entries, seen.Entries) {
		if err := s.take(o.Keys, e); err != nil {
			return s, 0, err
		}
	}
	for name, r := range s.Reports {
		if r.Seen.At.IsZero() { // its end is not there yet
			delete(s.Reports, name)
		}
	}
	return s, schemaRev, noSchema
}

// take takes a part of a report in.
func (s *Situation) take(keys store.Keys, e store.Entry) (err error) {
	n, err := keys.Parse(e.Key)
	if err != nil {
		return err
	}
	r := s.Reports[n.Machine]
	switch n.Kind {
	case store.KindSeen:
		r.Seen, err = store.Decode[api.Seen](e)
	case store.KindHeld:
		var h api.Held
		h, err = store.Decode[api.Held](e)
		r.Held = append(r.Held, h)
	case store.KindControllerSeen:
		s.Controllers[n.ID], err = store.Decode[api.Seen](e)
		return err
	default:
		return nil
	}
	s.Reports[n.Machine] = r
	return err
}

// Accept makes the store count as it is, once the caller has waited for Plan.Wait since Look first answered. It fails with a
// *SilentError while a machine is silent that is not among Off. It returns what it did. Broken off, it may be repeated: each process is taken over as a whole.
func Accept(ctx context.Context, o Options) (Plan, error) {
	f, err := newFence(ctx, o)
	if err != nil {
		return Plan{}, fmt.Errorf("accept the store: %w", err)
	}
	defer f.end(ctx)
	for {
		p, err := accept(ctx, o, f)
		if !errors.Is(err, errChanged) {
			if err != nil {
				err = fmt.Errorf("accept the store: %w", err)
			}
			return p, err
		}
		if ctx.Err() != nil {
			return p, fmt.Errorf("accept the store: %w", ctx.Err())
		}
	}
}

// Fence has nobody lead until unfence, or until a minute is over.
func Fence(ctx context.Context, o Options) (unfence func(), err error) {
	f, err := newFence(ctx, o)
	return func() { f.end(ctx) }, err
}

// fence keeps everybody from leading.
type fence struct {
	o     Options
	lease store.LeaseID
	since clock.Instant
}

func newFence(ctx context.Context, o Options) (*fence, error) {
	f := &fence{o: o}
	if _, err := f.put(ctx, store.Txn{Then: []store.Op{store.DeletePrefix(o.Keys.Election() + "/")}}); err != nil {
		f.end(ctx)
		return nil, err
	}
	return f, nil
}

// put writes the fence on a lease of its own, with what t has.
func (f *fence) put(ctx context.Context, t store.Txn) (succeeded bool, err error) {
	since := f.o.Clock.Now()
	lease, err := f.o.KV.Grant(ctx, fenceTTL)
	if err != nil {
		return false, err
	}
	f.lease, f.since = lease.ID, since
	t.Then = append(t.Then, store.PutOn(f.o.Keys.Restoring(), []byte(f.o.By), lease.ID))
	res, err := f.o.KV.Txn(ctx, t)
	return res.Succeeded, err
}

// renew makes the fence last, if it stands.
func (f *fence) renew(ctx context.Context) error {
	if f.o.Clock.Now().Sub(f.since) < fenceTTL*time.Second/3 {
		return nil
	}
	succeeded, err := f.put(ctx, store.Txn{If: []store.Cmp{store.Exists(f.o.Keys.Restoring())}})
	if err == nil && !succeeded {
		err = errSlow
	}
	return err
}

func (f *fence) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = f.o.KV.Revoke(ctx, f.lease) // else it ends by itself
}

// accept is one attempt, which ends with errChanged when somebody changed something meanwhile.
func accept(ctx context.Context, o Options, f *fence) (Plan, error) {
	s, schemaRev, err := read(ctx, o)
	if err != nil {
		return Plan{}, err
	}
	p := Decide(s)
	if err := p.Vouched(o.Off); err != nil {
		return p, err
	}
	if err := o.revoke(ctx, s); err != nil {
		return p, err
	}
	leases := touchLeases{}
	for _, t := range p.Takeover {
		if err := f.renew(ctx); err != nil {
			return p, err
		}
		lease, err := leases.of(ctx, o, t.Held.Placement.Process)
		if err != nil {
			return p, err
		}
		if err := f.commit(ctx, o.takeover(s.View.Process(t.Process), t, lease)); err != nil {
			return p, err
		}
	}
	for _, id := range p.Anew {
		if err := f.renew(ctx); err != nil {
			return p, err
		}
		process := s.View.Process(id)
		_, reports := s.Reports[process.Owner.Value.Machine]
		if err := f.commit(ctx, o.anew(process, reports)); err != nil {
			return p, err
		}
	}
	if err := f.renew(ctx); err != nil {
		return p, err
	}
	schema := s.Schema
	schema.Floor, schema.Restored = p.Floor, &api.Restored{ID: o.ID, By: o.By, At: o.Clock.Wall().UTC()}
	return p, f.commit(ctx, store.Txn{If: []store.Cmp{store.Unchanged(o.Keys.Schema(), schemaRev)},
		Then: []store.Op{store.Put(o.Keys.Schema(), store.Encode(schema)), store.Delete(o.Keys.Restoring())}})
}

// touchLeases are the last leases on which touches were put, by their time in seconds.
type touchLeases map[int64]touchLease

type touchLease struct {
	id      store.LeaseID
	granted clock.Instant
}

// leaseShared is for how long one lease gets touches: it must still be there for the last of them.
const leaseShared = time.Second

// of is a lease for the touch of a process that is taken over. It outlives every deadline that the run can have.
func (l touchLeases) of(ctx context.Context, o Options, process api.Process) (store.LeaseID, error) {
	ttl := int64(Outlived(int64(process.TouchTimeout))/time.Second) + 1
	now := o.Clock.Now()
	if last, found := l[ttl]; found && now.Sub(last.granted) < leaseShared {
		return last.id, nil
	}
	granted, err := o.KV.Grant(ctx, ttl)
	l[ttl] = touchLease{granted.ID, now}
	return granted.ID, err
}

// revoke ends what has come back of the leases of those who refuse the store. Else an agent that takes over what its keeper holds
// would renew such a lease, and the runs on it would live by it, while their touches stand elsewhere.
func (o Options) revoke(ctx context.Context, s Situation) error {
	for _, machine := range slices.Sorted(maps.Keys(s.Reports)) {
		for _, lease := range s.Reports[machine].Seen.Leases {
			if err := o.KV.Revoke(ctx, store.LeaseID(lease)); err != nil && !errors.Is(err, store.ErrLeaseNotFound) {
				return err
			}
		}
	}
	return nil
}

// errSlow says that the fence ended.
var errSlow = errors.New("it took too long, and somebody leads again; run it again")

// commit does a transaction if nobody leads, and nobody changed what it compares.
func (f *fence) commit(ctx context.Context, t store.Txn) error {
	restoring := f.o.Keys.Restoring()
	t.If = append(t.If, store.Exists(restoring))
	t.Else = []store.Op{store.Get(restoring)}
	res, err := f.o.KV.Txn(ctx, t)
	switch {
	case err != nil:
		return err
	case res.Succeeded:
		return nil
	case res.Got[0] == nil:
		return errSlow
	}
	return errChanged
}

// takeover makes a run that goes on the store's.
func (o Options) takeover(p *view.Process, t Takeover, lease store.LeaseID) store.Txn {
	if p == nil {
		p = &view.Process{ID: t.Process}
	}
	slot := p.On(t.Machine)
	t.Owner.At = o.Clock.Wall().UTC()
	t.Held.Status.Lease = int64(lease)
	txn := store.Txn{
		If: []store.Cmp{store.Unchanged(o.Keys.Owner(p.ID), revOf(p.Owner)), store.Unchanged(o.Keys.Placement(t.Machine, p.ID), revOf(slot.Placement)),
			store.Unchanged(o.Keys.Intent(p.ID), revOf(p.Intent)), store.Exists(o.Keys.Seen(t.Machine))},
		Then: []store.Op{store.Put(o.Keys.Owner(p.ID), store.Encode(t.Owner)),
			store.Put(o.Keys.Placement(t.Machine, p.ID), store.Encode(t.Held.Placement)),
			store.Put(o.Keys.Status(t.Machine, p.ID), store.Encode(t.Held.Status)),
			store.PutOn(o.Keys.Touch(t.Machine, p.ID), store.Encode(api.Touch{Token: t.Token, Instance: t.Held.Placement.Instance}), lease)},
	}
	if t.Intent {
		txn.Then = append(txn.Then, store.Put(o.Keys.Intent(p.ID), store.Encode(api.Intent{Want: api.WantRun, By: o.By, At: t.Owner.At})))
	}
	for _, other := range p.Slots {
		if other.Machine != t.Machine && other.Placement != nil {
			txn.Then = append(txn.Then, store.Delete(o.Keys.Placement(other.Machine, p.ID)))
		}
	}
	return txn
}

// anew takes a placement away: the leader places the process again when it is known to be dead. A report of its machine that has come
// since may name it.
func (o Options) anew(p *view.Process, reports bool) store.Txn {
	owner := p.Owner.Value
	same := store.Absent(o.Keys.Seen(owner.Machine))
	if reports {
		same = store.Exists(o.Keys.Seen(owner.Machine))
	}
	owner.Placed, owner.At = false, o.Clock.Wall().UTC()
	owner.Reason = "nobody said that it ran when the restored store was accepted"
	txn := store.Txn{If: []store.Cmp{store.Unchanged(o.Keys.Owner(p.ID), p.Owner.Rev), same}, Then: []store.Op{store.Put(o.Keys.Owner(p.ID), store.Encode(owner))}}
	for _, slot := range p.Slots {
		if slot.Placement != nil {
			txn.Then = append(txn.Then, store.Delete(o.Keys.Placement(slot.Machine, p.ID)))
		}
	}
	return txn
}

func revOf[T any](s *api.Stored[T]) int64 {
	if s == nil {
		return 0
	}
	return s.Rev
}
