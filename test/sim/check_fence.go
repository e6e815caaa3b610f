package sim

import (
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

// The promises about touches, fences and releases. They are looked at where a second copy becomes possible, which is long before there
// is one.
const (
	FreeIsDead    = "what may start elsewhere is dead"
	TouchIsPlaced = "a touch is of the placement that stands"
	ReleasedStays = "what was released is never touched again"
	StatusRises   = "a status is never followed by an older one"
)

// fences is what the checker knows of them.
type fences struct {
	placement map[slot]api.Placement
	runs      map[run]bool // of which a copy has been started
	watched   map[run]bool // touches that have expired while a copy lives
	byHand    bool         // somebody writes touches by hand, which is their fault
}

// run is all copies of one keeper under one token.
type run struct {
	slot
	token    int64
	instance string
}

func newFences() fences {
	return fences{placement: map[slot]api.Placement{}, runs: map[run]bool{}, watched: map[run]bool{}}
}

// living are the copies of a process on a machine under a token.
func (c *checker) living(at slot, token int64) (all []*copyOf) {
	for _, p := range c.alive[at.process] {
		if p.k.m.Name == at.machine && p.ref.Token == token {
			all = append(all, p)
		}
	}
	return all
}

// keeps reports whether the last status of a run says on_partition keep, under which an expiry proves nothing.
func (c *checker) keeps(at slot, token int64) bool {
	st := c.status[at]
	return st.Token != token || st.OnPartition == api.PartitionKeep
}

// startOf looks at the token of a start. Only a run that was begun with its touch, and is held by promise, starts again in place without
// one: also while its machine is to stop or restart it and cannot hear of that, as long as the owner is this machine. Under a keep that a
// user wrote it does so as long as it hears of nothing (unexcused).
func (c *checker) startOf(p *copyOf) {
	at := slot{p.ref.ID, p.k.m.Name}
	this := run{at, p.ref.Token, p.instance}
	o, t := c.owner[at.process], c.touch[at]
	kept, owned := c.kept[at.process] && c.keeps(at, p.ref.Token), o.Machine == at.machine && o.Token >= p.ref.Token
	again := c.runs[this] && (c.restored || t == (api.Touch{}) && (owned || kept))
	// Under keep a start has no deadline: a keeper that stood still carries out what it was asked for, as long as nobody else owns it.
	placed := c.placement[at]
	late := t == (api.Touch{}) && owned && o.Token == p.ref.Token && placed.Token == p.ref.Token && placed.OnPartition == api.PartitionKeep
	c.runs[this] = true
	if !again && !late && t != (api.Touch{Token: p.ref.Token, Instance: p.instance}) {
		c.w.violate(CurrentToken, "%s starts on %s under token %d of keeper %s, and the touch there is %+v", at.process, at.machine, p.ref.Token, p.instance, t)
	}
}

// touched takes in a touch that was put or is gone.
func (c *checker) touched(name store.Name, e store.Entry, gone bool) {
	at := slot{name.ID, name.Machine}
	before := c.touch[at]
	delete(c.touch, at)
	if gone {
		c.untouched(at, before)
		return
	}
	t, err := store.Decode[api.Touch](e)
	if err != nil {
		return
	}
	c.touch[at] = t
	if c.byHand && c.writer == nil {
		return
	}
	if p := c.placement[at]; !c.restored && (p.Token != t.Token || p.Instance != t.Instance) {
		c.w.violate(TouchIsPlaced, "%s is touched on %s as %+v, and placed there under token %d for %q", at.process, at.machine, t, p.Token, p.Instance)
	}
	for _, o := range c.alive[at.process] {
		if o.k.m.Name == at.machine && o.ref.Token != t.Token && !c.restored {
			c.w.violate(FreeIsDead, "%s is touched on %s under token %d while it lives there under %d", at.process, at.machine, t.Token, o.ref.Token)
		}
	}
	if st := c.status[at]; st.Token == t.Token && st.Released {
		c.w.violate(ReleasedStays, "%s is touched on %s under token %d, which was released", at.process, at.machine, t.Token)
	}
}

// untouched looks whether a touch that is gone may be.
func (c *checker) untouched(at slot, t api.Touch) {
	alive := c.living(at, t.Token)
	switch this := (run{at, t.Token, t.Instance}); {
	case len(alive) == 0, c.restored, c.w.Etcd.early: // who may start it elsewhere waits for its deadline all the same; placedOn looks at that
	case c.writer != nil:
		c.w.violate(FreeIsDead, "%s is released on %s under token %d while it lives: %s", at.process, at.machine, t.Token, describe(alive))
	case !c.watched[this]:
		c.watched[this] = true
		c.w.After(c.w.Machine(at.machine).waitsFor(), func() { c.expired(this) })
	}
}

// expiredEvery is how often a copy is looked at that lives without its touch.
const expiredEvery = 50 * time.Millisecond

// expired watches a copy whose touch has expired. As long as it lives, every controller that may act on what expired has to know that it
// must leave this alone.
func (c *checker) expired(r run) {
	if t := c.touch[r.slot]; len(c.living(r.slot, r.token)) == 0 || t.Token == r.token {
		delete(c.watched, r)
		return
	}
	o := c.owner[r.process]
	if !c.restored && o.Machine == r.machine && o.Token == r.token && !c.keeps(r.slot, r.token) && c.proven(r) {
		for _, d := range c.w.Controllers {
			if d.up && c.stands(d) && d.member.Forbids(r.machine, promise.Name{Process: r.process, Token: r.token}, 0) == (promise.Obstacle{}) {
				c.w.violate(FreeIsDead, "the touch of %s on %s (token %d) has expired, %s may give it away, and it lives: %s", r.process, r.machine, r.token,
					d.ID, describe(c.living(r.slot, r.token)))
			}
		}
	}
	c.w.After(expiredEvery, func() { c.expired(r) })
}

// proven reports whether the absence of a touch is the proof of a death: not while its lease lives, since then somebody has deleted it by
// hand.
func (c *checker) proven(r run) bool {
	return !c.w.Etcd.Server.Lives(store.LeaseID(c.status[r.slot].Lease))
}

// stands reports whether what a controller writes counts: its entry is the one that it knows.
func (c *checker) stands(d *Controller) bool {
	e := c.w.Etcd.Server.Entries(c.w.Keys.Controller(d.ID))
	return len(e) == 1 && e[0].ModRev == d.stood.Entry
}

// placedOn takes in a placement, and looks whether another machine still runs what it is for.
func (c *checker) placedOn(name store.Name, p api.Placement) {
	at := slot{name.ID, name.Machine}
	c.placement[at] = p
	elsewhere := slices.DeleteFunc(c.unexcused(c.alive[at.process]), func(o *copyOf) bool {
		return o.k.m.Name == at.machine || c.keeps(slot{at.process, o.k.m.Name}, o.ref.Token)
	})
	if len(elsewhere) > 0 {
		c.w.violate(FreeIsDead, "%s is placed on %s under token %d while it lives on %s", at.process, at.machine, p.Token, describe(elsewhere))
	}
}

// reported takes in a status.
func (c *checker) reported(name store.Name, e store.Entry, gone bool) {
	at := slot{name.ID, name.Machine}
	before := c.status[at]
	set(c.status, at, e, gone)
	now := c.status[at]
	if alive := c.living(at, now.Token); !gone && !c.restored && now.Released && len(alive) > 0 {
		c.w.violate(FreeIsDead, "%s is reported over on %s under token %d while it lives: %s", at.process, at.machine, now.Token, describe(alive))
	}
	if !gone && !c.restored && (now.Token < before.Token || now.Token == before.Token && before.Released && !now.Released) {
		c.w.violate(StatusRises, "the status of %s on %s is %v of token %d (released: %v), after %v of token %d (released: %v)", at.process, at.machine,
			now.State, now.Token, now.Released, before.State, before.Token, before.Released)
	}
}
