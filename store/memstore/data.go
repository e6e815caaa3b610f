package memstore

import (
	"maps"
	"slices"
	"sort"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// data is what a server stores: every version of every key since the last compaction, the
// changes in their order, and the leases. It does no locking and reads no clock.
type data struct {
	rev       int64
	compacted int64
	keys      []string                 // sorted; all that have a version, but for fresh
	fresh     []string                 // keys that are new since span was called, in no order
	versions  map[string][]store.Entry // rising ModRev; Version 0 is a deletion
	leases    map[store.LeaseID]*lease
	// first is a change before every one that is kept, last the newest one. A watch holds
	// the batch that it sent last, so compaction takes nothing away from it.
	first, last *batch
}

// batch is one revision's changes. Everything but next is constant.
type batch struct {
	rev     int64
	changes []store.Change
	next    *batch
}

// lease is one lease. It expires at the first scan after expiry.
type lease struct {
	id     store.LeaseID
	ttl    int64
	expiry clock.Instant
	term   uint64 // in which it was granted
	keys   map[string]struct{}
}

func newData() *data {
	origin := &batch{rev: 1}
	return &data{
		rev:      1, // etcd's first revision
		versions: map[string][]store.Entry{},
		leases:   map[store.LeaseID]*lease{},
		first:    origin,
		last:     origin,
	}
}

// clone returns a copy that shares nothing that changes.
func (d *data) clone() *data {
	c := &data{
		rev:       d.rev,
		compacted: d.compacted,
		keys:      slices.Clone(d.sorted()),
		versions:  make(map[string][]store.Entry, len(d.versions)),
		leases:    make(map[store.LeaseID]*lease, len(d.leases)),
	}
	for key, versions := range d.versions {
		c.versions[key] = slices.Clone(versions)
	}
	for id, l := range d.leases {
		c.leases[id] = &lease{id: id, ttl: l.ttl, expiry: l.expiry, term: l.term, keys: maps.Clone(l.keys)}
	}
	c.first = &batch{rev: d.first.rev, changes: d.first.changes}
	c.last = c.first
	for b := d.first.next; b != nil; b = b.next {
		c.last.next = &batch{rev: b.rev, changes: b.changes}
		c.last = c.last.next
	}
	return c
}

// at returns the key as it stood at rev (0 is now).
func (d *data) at(key string, rev int64) (store.Entry, bool) {
	versions := d.versions[key]
	n := len(versions)
	if rev > 0 {
		n = sort.Search(n, func(i int) bool { return versions[i].ModRev > rev })
	}
	if n == 0 || versions[n-1].Version == 0 {
		return store.Entry{}, false
	}
	return versions[n-1], true
}

// sorted returns all keys in their order. Many are put for each time that somebody asks for it: to insert each at
// its place would move all behind it.
func (d *data) sorted() []string {
	if len(d.fresh) == 0 {
		return d.keys
	}
	slices.Sort(d.fresh)
	merged := make([]string, 0, len(d.keys)+len(d.fresh))
	old := d.keys
	for _, key := range d.fresh {
		n, _ := slices.BinarySearch(old, key)
		merged = append(append(merged, old[:n]...), key)
		old = old[n:]
	}
	d.keys, d.fresh = append(merged, old...), nil
	return d.keys
}

// span returns those of the keys that a span covers.
func (d *data) span(s store.Span) []string {
	keys := d.sorted()
	keys = keys[sort.SearchStrings(keys, s.From):]
	if s.End != "" {
		keys = keys[:sort.SearchStrings(keys, s.End)]
	}
	return keys
}

// read answers a range; the caller has checked r.Rev.
func (d *data) read(r store.Range) store.RangeResult {
	res := store.RangeResult{Rev: d.rev}
	span := []string{r.Key}
	if keys, one := r.Keys(); !one {
		span = d.span(keys)
	}
	for _, key := range span {
		e, ok := d.at(key, r.Rev)
		if !ok {
			continue
		}
		res.Count++
		if r.Limit > 0 && int64(len(res.Entries)) == r.Limit {
			res.More = true
			continue
		}
		res.Entries = append(res.Entries, copyOf(e, r.KeysOnly))
	}
	return res
}

// copyOf keeps callers from changing what is stored.
func copyOf(e store.Entry, keyOnly bool) store.Entry {
	if keyOnly {
		e.Value = nil
	} else {
		e.Value = slices.Clone(e.Value)
	}
	return e
}

// holds tells whether a condition is true, by etcd's rules for absent keys.
func (d *data) holds(c store.Cmp) bool {
	e, found := d.at(c.Key, 0)
	switch c.Kind {
	case store.CmpModRev:
		return e.ModRev == c.Rev
	case store.CmpCreateRev:
		return e.CreateRev == c.Rev
	case store.CmpLease:
		return int64(e.Lease) == c.Rev
	case store.CmpValue:
		return found && string(e.Value) == string(c.Value)
	case store.CmpExists:
		return found
	case store.CmpAbsentPrefix:
		for _, key := range d.span(store.Below(c.Key)) {
			if _, found := d.at(key, 0); found {
				return false
			}
		}
		return true
	}
	return false
}

// txn carries out a transaction that checkTxn has passed. A put on a lease that is gone makes it fail whole.
func (d *data) txn(t store.Txn) (store.TxnResult, error) {
	ops, res := t.Then, store.TxnResult{Succeeded: true}
	for _, c := range t.If {
		if !d.holds(c) {
			ops, res.Succeeded = t.Else, false
			break
		}
	}
	for _, op := range ops {
		if op.Kind == store.OpPut && op.Lease != 0 && d.leases[op.Lease] == nil {
			return store.TxnResult{}, store.ErrLeaseNotFound
		}
	}
	b := &batch{rev: d.rev + 1}
	res.Got = make([]*store.Entry, len(ops))
	for i, op := range ops {
		switch op.Kind {
		case store.OpPut:
			d.put(b, op)
		case store.OpDelete:
			d.remove(b, op.Key)
		case store.OpDeletePrefix:
			for _, key := range slices.Clone(d.span(store.Below(op.Key))) {
				d.remove(b, key)
			}
		case store.OpGet:
			if e, ok := d.at(op.Key, 0); ok {
				e = copyOf(e, false)
				res.Got[i] = &e
			}
		}
	}
	d.commit(b)
	res.Rev = d.rev
	return res, nil
}

// commit makes a batch a revision; one without changes is none.
func (d *data) commit(b *batch) {
	if len(b.changes) == 0 {
		return
	}
	d.rev = b.rev
	d.last.next = b
	d.last = b
}

func (d *data) put(b *batch, op store.Op) {
	e := store.Entry{Key: op.Key, Value: slices.Clone(op.Value), CreateRev: b.rev, ModRev: b.rev, Version: 1, Lease: op.Lease}
	if old, ok := d.at(op.Key, 0); ok {
		e.CreateRev, e.Version = old.CreateRev, old.Version+1
		d.detach(old)
	}
	if op.Lease != 0 {
		d.leases[op.Lease].keys[op.Key] = struct{}{}
	}
	d.add(e)
	b.changes = append(b.changes, store.Change{Kind: store.ChangePut, Entry: e})
}

func (d *data) remove(b *batch, key string) {
	old, ok := d.at(key, 0)
	if !ok {
		return
	}
	d.detach(old)
	gone := store.Entry{Key: key, ModRev: b.rev}
	d.add(gone)
	b.changes = append(b.changes, store.Change{Kind: store.ChangeDelete, Entry: gone})
}

func (d *data) detach(e store.Entry) {
	if l := d.leases[e.Lease]; l != nil {
		delete(l.keys, e.Key)
	}
}

func (d *data) add(e store.Entry) {
	if _, known := d.versions[e.Key]; !known {
		d.fresh = append(d.fresh, e.Key)
	}
	d.versions[e.Key] = append(d.versions[e.Key], e)
}

// revoke ends a lease and deletes all its keys in one revision.
func (d *data) revoke(id store.LeaseID) {
	b := &batch{rev: d.rev + 1}
	for _, key := range slices.Sorted(maps.Keys(d.leases[id].keys)) {
		d.remove(b, key)
	}
	delete(d.leases, id)
	d.commit(b)
}

// compact forgets what was overwritten or deleted before rev, and the changes before it.
func (d *data) compact(rev int64) {
	d.compacted = rev
	for d.first.next != nil && d.first.next.rev < rev {
		d.first = d.first.next
	}
	d.keys = slices.DeleteFunc(d.sorted(), func(key string) bool {
		versions := d.versions[key]
		n := sort.Search(len(versions), func(i int) bool { return versions[i].ModRev > rev })
		keep := max(n-1, 0) // the version that stood at rev
		if n > 0 && versions[n-1].Version == 0 {
			keep = n
		}
		d.versions[key] = slices.Clone(versions[keep:])
		if len(d.versions[key]) == 0 {
			delete(d.versions, key)
			return true
		}
		return false
	})
}
