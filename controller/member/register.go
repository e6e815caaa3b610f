package member

import (
	"bytes"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// Registering decides about the entry, and keeps it true. It belongs to one goroutine.
type Registering struct {
	m       *Member
	sent    map[string]promise.Registration // by incarnation: what this life has tried to write, and what it found
	current string                          // the one that was answered last
	over    bool                            // another life has taken the place
	waits   time.Time                       // until when a newcomer waits, as the entry says
	vouched bool                            // that is by another's word
}

// step is what follows from a look, in this order: the file is written, the standing is told, the transaction is written.
type step struct {
	save     bool
	again    bool // take once more when the file is written
	standing *Standing
	txn      store.Txn
	next     clock.Instant
}

// own is this controller's entry, nil for none.
func (r *Registering) own(seen trust.Registered) (e *store.Entry, value api.Controller) {
	key := r.m.o.Keys.Controller(r.m.o.Self.ID)
	for i := range seen.Entries {
		if seen.Entries[i].Key == key {
			value, _ = store.Decode[api.Controller](seen.Entries[i])
			return &seen.Entries[i], value
		}
	}
	return nil, value
}

// take takes in what is registered. fresh is a new incarnation, should one be needed.
func (r *Registering) take(seen trust.Registered, fresh string) step {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	now := r.m.now()
	own, value := r.own(seen)
	mine, sent := r.sent[value.Incarnation]
	switch {
	case r.over:
		return step{next: clock.Never}
	case own != nil && sent:
		return r.keep(now, seen, own, value, mine)
	case own != nil && r.current != "":
		return r.lost(value)
	}
	return r.register(now, seen, own, value, fresh)
}

// lost: there is another distsuperd with the same id. Two that correct each other would never rest, and this one is not asked for promises
// any more.
func (r *Registering) lost(other api.Controller) step {
	r.over = true
	r.m.o.Log.Error("another distsuperd has the same id, and has taken this one's place, which decides nothing any more; give each its own [distsuperd] id, and start this one again",
		zap.String("id", other.ID), zap.String("host", other.Host), zap.String("http", other.HTTP))
	return step{standing: &Standing{Why: "another distsuperd has the same id, and has taken its place", Over: true}, next: clock.Never}
}

// register writes a new entry, in place of an earlier life's if there is one, and the mark that this key space has a controller.
func (r *Registering) register(now deadline.Moment, seen trust.Registered, own *store.Entry, old api.Controller, incarnation string) step {
	if r.current != "" {
		r.m.o.Log.Warn("the entry of this controller was removed; it registers again, as a new one")
	}
	key := r.m.o.Keys.Controller(r.m.o.Self.ID)
	reg := promise.Registration{Incarnation: incarnation, Replaced: old.Incarnation, First: seen.Schema.Controllers == nil, MaxHold: maxHold(seen, r.m.self)}
	rev := int64(0)
	if own != nil {
		reg.Entry, rev = own.CreateRev, own.ModRev
	}
	r.sent[incarnation] = reg
	s := step{save: r.m.grantor.Registering(reg) != nil, standing: &Standing{Why: "it registers"}}
	entry := r.m.self
	entry.Incarnation, entry.Identity, entry.Member = incarnation, r.m.o.Host, r.m.grantor.GoesOn(reg)
	switch {
	case entry.Member && !reg.First:
		// A member that starts again is no new controller: whoever read the set since it first registered asks it, and need not read it
		// again, as a machine that does not reach etcd cannot.
		entry.Registered = revision(seen, *own, old)
	case !entry.Member:
		r.waits, r.vouched = r.m.until(now.Wanting(deadline.Wait(now, promise.NewcomerWait(reg.MaxHold)))), false
		entry.WaitsUntil = r.waits
	}
	s.txn = store.Txn{If: []store.Cmp{store.Unchanged(key, rev), store.Unchanged(r.m.o.Keys.Schema(), seen.SchemaRev)},
		Then: []store.Op{store.Put(key, store.Encode(entry))}}
	if hold := int64(reg.MaxHold / time.Second); reg.First || seen.Schema.Controllers.MaxHold < hold {
		schema := seen.Schema
		marks := api.Controllers{}
		if schema.Controllers != nil {
			marks = *schema.Controllers
		}
		marks.MaxHold = hold
		schema.Controllers = &marks
		s.txn.Then = append(s.txn.Then, store.Put(r.m.o.Keys.Schema(), store.Encode(schema)))
	}
	return s
}

// maxHold is the longest that any controller ever said.
func maxHold(seen trust.Registered, self api.Controller) time.Duration {
	longest := max(promise.DefaultMaxHold, time.Duration(self.MaxHold)*time.Second)
	if seen.Schema.Controllers != nil {
		longest = max(longest, time.Duration(seen.Schema.Controllers.MaxHold)*time.Second)
	}
	return longest
}

// keep: the entry is this life's. It is written again when it does not say any more what is so, or when a newcomer waits for this
// controller's word. What others rely on is on disk before.
func (r *Registering) keep(now deadline.Moment, seen trust.Registered, own *store.Entry, value api.Controller, sent promise.Registration) step {
	g := r.m.grantor
	save := false
	if r.current != value.Incarnation {
		r.current, save = value.Incarnation, true
		sent.Revision, sent.Entry, sent.Answered = revision(seen, *own, value), own.CreateRev, now
		g.Registered(sent)
		r.m.o.Log.Info("registered", zap.Duration("newcomer_for_at_most", g.NewcomerLeft(now).Round(time.Second)))
	}
	newest, awaited := r.others(now, seen, value)
	if g.Acknowledge(newest) != nil {
		save = true
	}
	if g.Settle(now) != nil {
		save = true
		r.m.o.Log.Info("this controller is a member: no machine goes on by promises that does not ask it, too")
	}
	if save {
		return step{save: true, again: true}
	}
	left := g.NewcomerLeft(now)
	s := step{standing: &Standing{Entry: own.ModRev, Incarnation: value.Incarnation, Member: left == 0}, next: clock.Never}
	entry := r.m.self
	entry.Incarnation, entry.Identity, entry.Registered = value.Incarnation, r.m.o.Host, value.Registered
	entry.Member, entry.Acknowledged, entry.LeavingTerm = left == 0, value.Acknowledged, r.m.leaving
	if left > 0 {
		entry.WaitsUntil, s.next = r.waits, now.Boot.Add(left)
	}
	switch vouches := g.Vouches(now); {
	case awaited && vouches > entry.Acknowledged:
		entry.Acknowledged = vouches
	case awaited && left == 0: // a long promise is out
		s.next = now.Boot.Add(time.Minute)
	}
	if !bytes.Equal(store.Encode(entry), own.Value) {
		entry.Registered = revision(seen, *own, value)
		s.txn = store.Txn{If: []store.Cmp{store.Unchanged(own.Key, own.ModRev)}, Then: []store.Op{store.Put(own.Key, store.Encode(entry))}}
	}
	return s
}

// others takes in the other entries: the newest registration of all, whether somebody waits for this controller's word, and whether
// somebody has given his to it.
func (r *Registering) others(now deadline.Moment, seen trust.Registered, mine api.Controller) (newest int64, awaited bool) {
	for _, e := range seen.Entries {
		d, err := store.Decode[api.Controller](e)
		if err != nil {
			d = api.Controller{}
		}
		rev := revision(seen, e, d)
		newest = max(newest, rev)
		if e.Key == r.m.o.Keys.Controller(r.m.o.Self.ID) {
			continue
		}
		awaited = awaited || d.Incarnation != "" && !d.Member && rev > mine.Acknowledged
		if d.Member {
			r.vouch(now, d.Acknowledged)
		}
	}
	if c := seen.Schema.Controllers; c != nil {
		r.vouch(now, c.Off)
	}
	return newest, awaited
}

// vouch takes in somebody's word. Until when a newcomer waits is told anew after the first that helps it.
func (r *Registering) vouch(now deadline.Moment, revision int64) {
	g := r.m.grantor
	before := g.NewcomerLeft(now)
	g.Vouched(now, revision)
	if left := g.NewcomerLeft(now); left < before && !r.vouched {
		r.waits, r.vouched = r.m.until(left), true
	}
}

// revision is that of a registration, which its entry says once it was written again.
func revision(seen trust.Registered, e store.Entry, d api.Controller) int64 {
	if d.Registered != 0 {
		return d.Registered
	}
	return seen.Revision(e.ModRev)
}
