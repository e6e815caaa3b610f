package promise

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Grantor is a controller's half: it promises, keeps what it promised, and knows whether this controller is a member, which may act on
// what expired. It is used by one goroutine at a time.
//
// A call that returns a Record wants it on disk: Wrote says that it is there. An answer may leave this process only after that; when
// the Record cannot be written, a refusal leaves instead.
type Grantor struct {
	id      string
	started deadline.Moment
	record  Record
	disk    Record                   // what Wrote has told
	kept    map[string]map[Name]Kept // by machine
	long    map[string]map[Name]Kept // those that are longer than Length
	waits   bool                     // for a Length after the start: an earlier life may have promised what nobody knows any more
	knows   bool                     // the record is by the clocks of this life, or a registration was answered since: Newest is what it must be
	fresh   bool                     // no earlier life is known
	leaving uint64                   // etcd's raft term, once this controller is about to leave

	registered bool
	last       Registration
	vouched    *deadline.Moment // when a member was first seen to have acknowledged the last registration
}

// NewGrantor makes a Grantor from what its last life left on disk, the zero Record when that is nothing or cannot be read.
func NewGrantor(id string, host api.HostIdentity, found Record, now deadline.Moment) *Grantor {
	g := &Grantor{id: id, started: now, kept: map[string]map[Name]Kept{}, long: map[string]map[Name]Kept{}}
	if !found.continues(host) {
		g.waits, g.fresh = true, true
		g.record = Record{Version: Version, Host: host}
		return g
	}
	g.record, g.knows = found, host.SameClocks(found.Host)
	g.waits = !g.knows || !now.Over(found.Out)
	for _, k := range found.Long {
		if g.knows && now.Over(k.Until) {
			continue
		}
		if !g.knows { // the clocks of another boot, or of another time namespace, say nothing: all of it may still be out
			k.Until = deadline.Wait(now, time.Duration(k.Millis)*time.Millisecond+deadline.TreeTime)
		}
		of(g.long, k.Machine)[k.Name] = k
	}
	g.record.Host = host
	if !g.knows {
		g.record.Out = deadline.Deadline{}
	}
	g.disk = g.record
	return g
}

// Wrote takes in that a Record is on disk.
func (g *Grantor) Wrote(r Record) { g.disk = r }

// Leave makes every promise from now on a long one, as this controller is about to leave for a while, and etcd with it. Term is etcd's raft term;
// 0 takes it back.
func (g *Grantor) Leave(term uint64) { g.leaving = term }

// Gave reports whether this controller has given a machine a long promise about a run since it is about to leave.
func (g *Grantor) Gave(machine string, n Name) bool {
	k, any := g.long[machine][n]
	return any && g.leaving != 0 && k.Term == g.leaving
}

// Answer answers an ask. A Record that is not nil must be on disk before the answer is sent.
func (g *Grantor) Answer(now deadline.Moment, a Ask) (Answer, *Record) {
	answer := Answer{Version: Version, Controller: g.id, Number: a.Number}
	if answer.Reason = g.refuses(a); answer.Reason != "" {
		return answer, nil
	}
	length, kept := Length, of(g.kept, a.Machine)
	if g.leaving != 0 && a.Farewell {
		length, kept, answer.Term = FarewellLength, of(g.long, a.Machine), g.leaving
	}
	wait := length
	if a.Uncontained {
		wait += deadline.TreeTime
	}
	until := deadline.Wait(now, wait)
	forget(now, kept)
	for _, n := range a.Names {
		kept[n] = kept[n].and(Kept{Name: n, Machine: a.Machine, Until: until, Millis: length.Milliseconds(), Term: answer.Term})
	}
	answer.Millis = length.Milliseconds()
	return answer, g.out(now, until, length)
}

// refuses says why an ask gets no promise.
func (g *Grantor) refuses(a Ask) string {
	switch {
	case a.Version != Version:
		return fmt.Sprintf("it promises by version %d, and was asked by version %d", Version, a.Version)
	case a.Controller != g.id:
		return fmt.Sprintf("it is %s, and %s was asked", g.id, a.Controller)
	case !g.knows:
		return "it has not reached etcd since its start, and may not know of every controller"
	case a.Set < g.record.Newest:
		return "the machine does not know of every controller yet"
	}
	return ""
}

// out is the record when it has to be written: before the first promise, from time to time after that, and for long ones.
func (g *Grantor) out(now deadline.Moment, until deadline.Deadline, length time.Duration) *Record {
	ahead := now.Wanting(until) <= now.Wanting(g.disk.Out)
	if ahead && length == Length {
		return nil
	}
	if !ahead {
		g.record.Out = deadline.Wait(now, now.Wanting(until)+outAhead)
	}
	return g.written()
}

// written is a copy of the record, with the long promises of now.
func (g *Grantor) written() *Record {
	r := g.record
	r.Long = nil
	for _, kept := range g.long {
		for _, k := range kept {
			r.Long = append(r.Long, k)
		}
	}
	slices.SortFunc(r.Long, byMachine)
	return &r
}

// of are the promises to a machine.
func of(all map[string]map[Name]Kept, machine string) map[Name]Kept {
	if all[machine] == nil {
		all[machine] = map[Name]Kept{}
	}
	return all[machine]
}

// forget drops the promises that are over.
func forget(now deadline.Moment, kept map[Name]Kept) {
	for n, k := range kept {
		if now.Over(k.Until) {
			delete(kept, n)
		}
	}
}

func byMachine(a, b Kept) int {
	return cmp.Or(cmp.Compare(a.Machine, b.Machine), compare(a.Name, b.Name))
}

// Kind is why a controller may not act on what expired.
type Kind int

const (
	// Free: it may.
	Free Kind = iota
	// Promised: it has promised a machine to leave this run alone.
	Promised
	// Starting: its last life may have promised what nobody knows any more.
	Starting
	// Newcomer: there may be machines that do not know of it, and do not ask it.
	Newcomer
)

// Obstacle is what keeps a controller from acting on a run whose touch has expired.
type Obstacle struct {
	Kind    Kind
	Machine string        // with Promised
	Left    time.Duration // by the slower clock; that of a Newcomer may turn out shorter
}

// Forbids says what keeps this controller from acting on anything under a name whose touch at a machine has expired: moving it,
// removing its owner, starting it under another token. It is the one question for every such door. What was released, or never touched,
// needs none. What another machine was promised binds nobody here: only the one that touched a run can have it alive. Lease is etcd's raft
// term in which, or after which, the lease of that touch was granted: a long promise of an earlier one is over, see Returns.
func (g *Grantor) Forbids(now deadline.Moment, machine string, n Name, lease uint64) Obstacle {
	if left := g.NewcomerLeft(now); left > 0 {
		return Obstacle{Kind: Newcomer, Left: left}
	}
	if left := g.StartWait(now); left > 0 {
		return Obstacle{Kind: Starting, Left: left}
	}
	k, any := g.kept[machine][n]
	if l, long := g.long[machine][n]; long && lease <= l.Term {
		k, any = k.and(l), true
	}
	if any && !now.Over(k.Until) {
		return Obstacle{Kind: Promised, Machine: k.Machine, Left: now.Wanting(k.Until)}
	}
	return Obstacle{}
}

// StartWait is how long nothing expired is touched since this life may not know what the last one promised, 0 when it does.
func (g *Grantor) StartWait(now deadline.Moment) time.Duration {
	if !g.waits {
		return 0
	}
	return max(0, now.Wanting(deadline.Wait(g.started, Length+deadline.TreeTime)))
}

// Registered takes in the answer to a registration of this life. The Record must be on disk before this controller acts as a member.
//
// A controller is a member at once when there was none before it in this key space: then no agent counts on any. So it is when it goes on
// from an earlier life that was one: on the same host, whose entry nobody removed or replaced since. A copied state directory continues
// nothing, as agents may ask the one that it was copied from. Every other is a newcomer: a member when no set without it counts any more,
// or a while after a member has vouched that it gives no promise to an agent that does not know of it: Vouched.
func (g *Grantor) Registered(r Registration) *Record {
	goesOn := g.GoesOn(r)
	g.registered, g.last, g.vouched, g.knows = true, r, nil, true
	if r.First && g.fresh {
		g.waits = false
	}
	g.record.Entry, g.record.Incarnation, g.record.Member = r.Entry, r.Incarnation, goesOn
	g.record.Trying = ""
	g.record.Newest = max(g.record.Newest, r.Revision)
	return g.written()
}

// Registering takes in a registration that is about to be written, with what it found. The Record must be on disk before that: should the
// answer be lost with this life, the next one knows by it what it goes on from.
func (g *Grantor) Registering(r Registration) *Record {
	if !g.GoesOn(r) {
		g.record.Trying = ""
	} else {
		if !r.First { // also when this was known by what the last life tried
			g.record.Entry, g.record.Incarnation, g.record.Member = r.Entry, r.Replaced, true
		}
		g.record.Trying = r.Incarnation
	}
	if g.record.Trying == g.disk.Trying {
		return nil
	}
	return g.written()
}

// GoesOn reports whether a registration that finds this makes a member at once.
func (g *Grantor) GoesOn(r Registration) bool {
	old := g.record
	tried := old.Trying != "" && r.Replaced == old.Trying
	return r.First || tried || old.Member && old.Incarnation != "" && r.Replaced == old.Incarnation && r.Entry == old.Entry
}

// Now is the record as it is to be on disk.
func (g *Grantor) Now() Record { return *g.written() }

// NewcomerLeft is how long it is at most until this controller is a member, 0 when it is.
func (g *Grantor) NewcomerLeft(now deadline.Moment) time.Duration {
	switch {
	case !g.registered:
		return NewcomerWait(DefaultMaxHold)
	case g.record.Member:
		return 0
	}
	left := now.Wanting(deadline.Wait(g.last.Answered, NewcomerWait(max(g.last.MaxHold, DefaultMaxHold))))
	if g.vouched != nil {
		left = min(left, now.Wanting(deadline.Wait(*g.vouched, Length+deadline.TreeTime)))
	}
	return max(left, 0)
}

// Vouched takes in that a member had written a registration of this revision to disk, or a later one, when this was read at now.
func (g *Grantor) Vouched(now deadline.Moment, revision int64) {
	if g.registered && g.vouched == nil && revision >= g.last.Revision {
		g.vouched = &now
	}
}

// Settle returns the record when this controller has become a member since: it need not become one again after a restart.
func (g *Grantor) Settle(now deadline.Moment) *Record {
	if g.NewcomerLeft(now) > 0 || g.disk.Member {
		return nil
	}
	g.record.Member = true
	return g.written()
}

// Acknowledge takes in the revision of the newest registration of any controller: an agent whose set is older gets no promise any
// more. The Record, when there is one, must be on disk before Vouches says so to anybody.
func (g *Grantor) Acknowledge(revision int64) *Record {
	g.record.Newest = max(g.record.Newest, revision)
	if g.record.Newest == g.disk.Newest {
		return nil
	}
	return g.written()
}

// Vouches is the revision of the newest registration that others may rely on this controller to have acknowledged; 0 while it is none to
// rely on: no member, or with a long promise still out, which outlasts what a newcomer waits.
func (g *Grantor) Vouches(now deadline.Moment) int64 {
	if g.NewcomerLeft(now) > 0 {
		return 0
	}
	for _, kept := range g.long {
		for _, k := range kept {
			if !now.Over(k.Until) {
				return 0
			}
		}
	}
	return g.disk.Newest
}
