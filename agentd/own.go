package agentd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

const (
	whatAlive = "claim the machine's name"
	whatLeave = "take the machine's alive key away"
	whatInfo  = "put the machine's info"
)

// ErrName is why an agent ends when another machine, or another agent on this one, has its name.
var ErrName = errors.New("the machine name is taken")

// own is what the agent does about the machine's own keys.
type own struct {
	info    api.MachineInfo
	encoded []byte // info; nil when it has changed
	slot    slot   // one transaction at a time
	claimed bool   // alive carries our instance
	leaving bool
	left    bool // leaving, and alive does not carry our instance
	told    bool // leftEffect was given

	// alive is what stood at the machine's alive key when its last change was aliveRev, 0 for absent.
	alive    api.Alive
	aliveRev int64

	// A namesake on this host is waited for: it may be an agent that crashed and lost its state.
	namesake string // its instance
	asked    bool
	until    clock.Instant // when it is held to be live, 0 while its lease's time is not known
}

// read decodes the machine's alive key, once for each change of it; an absent one is the zero Alive.
func (o *own) read(e store.Entry, log *zap.Logger) api.Alive {
	if e.ModRev == o.aliveRev {
		return o.alive
	}
	var err error
	if o.alive, err = store.Decode[api.Alive](e); err != nil && e.ModRev != 0 {
		log.Error("the machine's alive key cannot be read; it is written anew", zap.Error(err))
	}
	o.aliveRev = e.ModRev
	return o.alive
}

// claim brings alive and info to where they should be.
func (l *loop) claim() {
	key := l.keys.Alive(l.machine)
	entry, found := l.mirror.get(key)
	alive := l.own.read(entry, l.log)
	claimed := found && alive.Instance == l.hello.Instance
	left := l.own.leaving && !claimed
	if claimed != l.own.claimed || left != l.own.left {
		l.own.claimed, l.own.left = claimed, left
		l.allDirty()
	}
	switch {
	case left:
		return
	case l.own.leaving:
		l.ownTxn(txnEffect{what: whatLeave, reason: "the machine is leaving",
			txn: l.guarded(key, entry.ModRev, store.Delete(key))})
		return
	case found && !claimed && alive.Instance != "" && !l.predecessors[alive.Instance]:
		l.namesake(alive, int64(entry.Lease))
		return
	}
	l.own.namesake, l.own.until = "", 0
	lease := l.leases.shortest()
	if lease == 0 {
		l.askLease(l.ttl)
		return
	}
	if want := l.alive(alive, claimed); !claimed || int64(entry.Lease) != lease || !sameAlive(want, alive) {
		l.ownTxn(txnEffect{what: whatAlive, lease: lease, reason: "alive is not as it should be",
			txn: l.guarded(key, entry.ModRev, store.PutOn(key, store.Encode(want), store.LeaseID(lease)))})
		return
	}
	l.putInfo()
}

// alive is what the key should say. It is since when this instance has been there.
func (l *loop) alive(now api.Alive, claimed bool) api.Alive {
	a := api.Alive{Instance: l.hello.Instance, BootID: l.hello.BootID, Host: hostName(l.host, l.pid), Since: now.Since}
	if !claimed {
		a.Since = l.wall().UTC().Truncate(time.Second)
	}
	return a
}

func sameAlive(a, b api.Alive) bool { return bytes.Equal(store.Encode(a), store.Encode(b)) }

// hostName names an agent to whoever meets it as a namesake.
func hostName(host string, pid int) string { return fmt.Sprintf("%s (agent's pid %d)", host, pid) }

func (l *loop) putInfo() {
	if l.own.encoded == nil {
		info := l.own.info
		info.TakesAll = l.mode == mode.Alone
		l.own.encoded = store.Encode(info)
	}
	key, value := l.keys.Info(l.machine), l.own.encoded
	if entry, found := l.mirror.get(key); !found || !bytes.Equal(entry.Value, value) {
		l.ownTxn(txnEffect{what: whatInfo, reason: "info differs", txn: l.guarded(key, entry.ModRev, store.Put(key, value))})
	}
}

// guarded does op if the key is as it was seen, and reads it again if not.
func (l *loop) guarded(key string, rev int64, op store.Op) store.Txn {
	return store.Txn{If: []store.Cmp{store.Unchanged(key, rev)}, Then: []store.Op{op}, Else: []store.Op{store.Get(key)}}
}

func (l *loop) ownTxn(e txnEffect) {
	ok, until := l.own.slot.free(l.now)
	if !ok {
		l.wake.add(until, "")
		return
	}
	l.own.slot.busy = true
	l.do(e)
}

func (l *loop) ownAnswered(ev txnEvent) {
	if errors.Is(ev.err, store.ErrLeaseNotFound) && ev.effect.lease != 0 {
		l.do(dropEffect{ev.effect.lease})
		l.loseLease(ev.effect.lease)
	}
	if ev.err != nil || !ev.result.Succeeded {
		first := l.own.slot.fails == 0
		l.wake.add(l.own.slot.fail(l.now), "")
		if ev.err != nil && first {
			l.log.Warn("cannot "+ev.effect.what, zap.Error(ev.err))
		}
	} else {
		l.own.slot.succeed()
		l.log.Debug("did "+ev.effect.what, zap.String("reason", ev.effect.reason))
	}
	if ev.err == nil {
		l.changed(l.mirror.answer(ev.effect.txn, ev.result))
	}
}

// namesake decides about another instance under our name. One of another host is live: we refuse. One
// of this host may be an agent that crashed and whose state was wiped: its lease is waited out.
func (l *loop) namesake(a api.Alive, lease int64) {
	same := a.BootID == l.hello.BootID || strings.HasPrefix(a.Host, l.host+" (")
	if !same {
		l.do(failEffect{fmt.Errorf("%w: %q is held by the agent on host %s: give this machine another name, or stop that agent",
			ErrName, l.machine, a.Host)})
		return
	}
	if l.own.namesake != a.Instance {
		l.own.namesake, l.own.asked, l.own.until = a.Instance, false, 0
		l.log.Warn("the machine name is held by an earlier agent of this host, whose state is not here: waiting until its lease has run out",
			zap.String("machine", l.machine), zap.String("holder", a.Host))
	}
	switch {
	case l.own.until == 0 && !l.own.asked && l.now >= l.own.slot.retry:
		l.own.asked = true
		l.do(askEffect{lease})
	case l.own.until != 0 && l.now >= l.own.until:
		l.do(failEffect{fmt.Errorf("%w: %q is held by another agent on this host, %s, which keeps renewing its lease: "+
			"stop that agent, or give one of the two another name", ErrName, l.machine, a.Host)})
	case l.own.until != 0:
		l.wake.add(l.own.until, "")
	}
}

// remaining sets how long a namesake is waited for: until its lease must have run out, even if
// etcd elected a leader meanwhile and every lease started anew.
func (l *loop) remaining(ev remainingEvent) {
	ttl := ev.ttl
	if ev.err != nil && !errors.Is(ev.err, store.ErrLeaseNotFound) {
		l.own.asked = false
		l.own.slot.retry = l.now.Add(retryMost)
		l.wake.add(l.own.slot.retry, "")
		return
	}
	l.own.until = l.now.Add(time.Duration(2*ttl+10) * time.Second)
	l.wake.add(l.own.until, "")
}

// leave begins to leave: alive goes first, so that the leader places nothing here any more.
func (l *loop) leave() {
	if !l.own.leaving {
		l.own.leaving = true
		l.allDirty()
	}
}

// checkLeft says once that everything of ours is released.
func (l *loop) checkLeft() {
	if !l.own.left || l.own.told || l.own.slot.busy || l.batch {
		return
	}
	m := l.view()
	for _, p := range l.procs {
		held := p.touch != nil && (p.touch.Instance == m.Instance || m.Predecessors[p.touch.Instance])
		if p.run != nil || held || p.store.busy || p.memory.Doubt != nil || len(plan.Decide(m, p.view())) > 0 {
			return
		}
	}
	l.own.told = true
	l.do(leftEffect{})
}
