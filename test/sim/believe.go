package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/recovery"
	"github.com/distsuper/distsuper/store/seen"
)

// belief is what a daemon has to do with a store that may go back: package seen says whether it is believed.
type belief struct {
	n        *node
	raw      *kv
	memory   *seen.Memory
	reporter *recovery.Reporter
}

// seenFile is where the state directory of a daemon has what was seen of etcd.
const seenFile = "etcd-seen"

// believe makes what a client of etcd tells count only while the store is believed. What was seen is kept on a disk.
func believe(k *kv, d *disk, reporter *recovery.Reporter) *belief {
	var saved seen.Record
	if text, err := d.Read(seenFile); err == nil {
		if err := json.Unmarshal(text, &saved); err != nil {
			panic("sim: " + err.Error())
		}
	}
	b := &belief{n: k.n, raw: k, reporter: reporter}
	b.memory = seen.New(saved, k.n.host, k.n.w.log.Named(k.n.name), func(r seen.Record) error {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return d.Write(seenFile, text)
	})
	b.reporter.KV, b.reporter.Keys, b.reporter.Clock = k, k.n.w.Keys, k.n.host
	k.memory, k.believed = b.memory, seen.Guard(k, b.memory)
	return b
}

// look takes in what the schema says, read through kv.
func (b *belief) look(ctx context.Context, kv store.KV) (accepted bool, err error) {
	schema, at, err := store.ReadSchema(ctx, kv, b.n.w.Keys)
	if err != nil {
		return false, err
	}
	return b.memory.Look(at, schema)
}

// lookEvery is the pause between two looks at the schema.
const lookEvery = time.Second

// awaitStore returns when the store has answered, believed or not.
func (b *belief) awaitStore(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := b.look(ctx, b.raw.believed); err == nil || !errors.Is(err, store.ErrUnavailable) {
			return
		}
		b.n.w.sleep(lookEvery / 5)
	}
}

// awaitAccepted waits until somebody has accepted a store that was found behind, and then has the daemon begin a new life. Meanwhile
// reports now and then.
func (b *belief) awaitAccepted(again, report func()) {
	b.n.run(func(ctx context.Context) {
		for looks := 0; ctx.Err() == nil; {
			if b.memory.Err() != nil {
				if report != nil && looks%int(recovery.ReportEvery/lookEvery) == 0 {
					b.n.run(func(context.Context) { report() })
				}
				looks++
				if accepted, err := b.look(ctx, b.raw); accepted && err == nil && ctx.Err() == nil {
					b.n.exit(again)
					return
				}
			}
			b.n.w.sleep(lookEvery)
		}
	})
}

// report tells the store, believed or not, what was seen of it and what goes on.
func (b *belief) report(ctx context.Context, why error, held []api.Held, leases []int64) {
	said := api.Seen{Tokens: b.memory.Record().Tokens(), Leases: leases, Why: why.Error()}
	if err := b.reporter.Report(ctx, said, held); err != nil && ctx.Err() == nil {
		b.n.w.tell(b.n.name, "%v", err)
	}
}

// Save keeps a snapshot of etcd, and the newest of those before.
func (e *Etcd) Save() {
	const keep = 12
	e.saved = slices.Insert(e.saved, 0, e.Server.Snapshot())
	e.saved = e.saved[:min(len(e.saved), keep)]
}

// saveEvery has a snapshot made every so often.
func (e *Etcd) saveEvery(d time.Duration) {
	e.Save()
	e.w.After(d, func() { e.saveEvery(d) })
}

// GoBack restores etcd from a snapshot, 0 for the newest: as another cluster, or as the same, or with its revision raised above all that
// was. Nobody may count on it before a user has accepted it.
func (e *Etcd) GoBack(how, age int) {
	if len(e.saved) == 0 {
		return
	}
	e.w.tell("etcd", "is restored from a snapshot")
	saved := e.saved[min(age, len(e.saved)-1)]
	switch how % 3 {
	case 0:
		e.clusters++
		e.Server.Restore(saved)
		e.Server.SetCluster(uint64(e.clusters))
	case 1:
		e.Server.Restore(saved)
	case 2:
		e.Server.RestoreRaised(saved, 1_000_000)
	}
	if e.stopped {
		e.Server.Stop()
	}
	e.breakWatches(-1)
	e.w.check.wentBack()
	e.tick()
}

// Accept has the user make the store count as it is, once that can be known to be safe; until then they wait.
func (u *User) Accept() {
	u.w.tell("ctl", "accepts the store as it is")
	if u.accepting++; u.accepting > 1 {
		return // they are at it
	}
	u.run(func(ctx context.Context) {
		for u.accepting > 0 && ctx.Err() == nil {
			asked := u.accepting
			if u.accept(ctx); u.accepting == asked {
				u.accepting, u.w.check.restored = 0, false
			}
		}
	})
}

// accept is one acceptance.
func (u *User) accept(ctx context.Context) {
	for began := u.host.Now(); ctx.Err() == nil; u.w.sleep(lookEvery / 2) {
		o := u.recovering()
		plan, err := recovery.Look(ctx, o)
		if err == nil && u.host.Now().Sub(began) < plan.Wait {
			continue
		}
		if err == nil {
			plan, err = recovery.Accept(ctx, o)
		}
		if err == nil {
			u.w.tell("ctl", "accepted; tokens go on from %d", plan.Floor)
			return
		}
		u.w.tell("ctl", "not accepted yet: %v", err)
	}
}

// recovering is how the user accepts: they vouch for machines on which nothing is alive.
func (u *User) recovering() recovery.Options {
	u.did++
	o := recovery.Options{KV: u.kv, Keys: u.w.Keys, Clock: u.host, By: "ann@ctl", ID: fmt.Sprint("acceptance-", u.did), Expand: spec.Processes, Fingerprint: spec.Fingerprint}
	for _, m := range u.w.Machines {
		if !m.on {
			o.Off = append(o.Off, m.Name)
		}
	}
	return o
}

// wentBack takes in that the store is another one now: what is checked begins anew with what stands there. Until it is accepted it tells
// nothing of what runs.
func (c *checker) wentBack() {
	c.restored, c.bound = true, Bound+unheard
	clear(c.touch)
	clear(c.status)
	clear(c.owner)
	clear(c.intent)
	clear(c.program)
	clear(c.placement)
	clear(c.placed)
	clear(c.candidates)
	clear(c.commands)
	for _, e := range c.w.Etcd.Server.Entries(c.w.Keys.Root()) {
		c.elected(e, false)
		name, err := c.w.Keys.Parse(e.Key)
		if err != nil {
			continue
		}
		at := slot{name.ID, name.Machine}
		switch name.Kind {
		case store.KindTouch:
			set(c.touch, at, e, false)
		case store.KindStatus:
			set(c.status, at, e, false)
		case store.KindOwner:
			set(c.owner, name.ID, e, false)
		case store.KindPlacement:
			set(c.placement, at, e, false)
		case store.KindProgram:
			c.defined(name.ID, e, e.ModRev)
		case store.KindIntent:
			if v, err := store.Decode[api.Intent](e); err == nil {
				c.intent[name.ID] = versioned[api.Intent]{v, e.ModRev}
			}
		}
	}
}
