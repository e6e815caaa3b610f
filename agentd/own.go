package agentd

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

const (
	whatAlive = "claim the machine's name"
	whatLeave = "delete the machine's alive key"
	whatInfo  = "put the machine's info"
)

// ErrName is why an agent ends when another machine, or another agent on this one, has its name.
var ErrName = errors.New("the machine name is taken")

// own is what the agent does about the machine's own keys.
type own struct {
	info     api.MachineInfo
	encoded  []byte // info; nil when it has changed
	slot     slot   // one transaction at a time
	claimed  bool   // alive carries our instance
	wrote    int64  // the revision at which it last carried our incarnation, 0 for never
	leaving  bool
	since    clock.Instant // when leaving began
	left     bool          // leaving, and alive does not carry our instance
	reported bool          // Left was given
	untold   []string      // the processes that Left named

	// alive is what stood at the machine's alive key when its last change was aliveRev, 0 for absent.
	alive    api.Alive
	aliveRev int64

	learned int64 // the change of info from which earlier keepers were learned of

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
		log.Error("the machine's alive key cannot be read; rewriting it", zap.Error(err))
	}
	o.aliveRev = e.ModRev
	return o.alive
}

// claim brings alive and info to where they should be.
func (s *step) claim() {
	key := s.o.Keys.Alive(s.o.Machine)
	entry, found := s.mirror.get(key)
	alive := s.own.read(entry, s.o.Log)
	claimed := found && alive.Instance == s.hello.Instance
	if claimed && s.replaced(entry, alive) {
		return
	}
	s.learn()
	left := s.own.leaving && !claimed
	if claimed != s.own.claimed || left != s.own.left {
		s.own.claimed, s.own.left = claimed, left
		s.lookAtAll()
	}
	if claimed && s.adoptProved() {
		s.lookAtAll()
	}
	if claimed {
		s.searchHost()
	}
	switch {
	case left:
		return
	case s.own.leaving:
		s.writeOwn(Write{What: whatLeave, Reason: "the machine is leaving", Txn: s.leaveTxn(key, entry.ModRev)})
		return
	case found && !claimed && alive.Instance != "" && s.predecessors[alive.Instance] != api.ProofSuccessor:
		s.namesake(alive, int64(entry.Lease))
		return
	}
	s.own.namesake, s.own.until = "", 0
	lease := s.leases.shortest()
	switch h := s.leases.held[lease]; {
	case h == nil:
		s.askLease(s.o.TouchTimeout)
		return
	case h.outlived:
		s.askLease(h.timeout)
	}
	if want := s.alive(alive, claimed); !claimed || int64(entry.Lease) != lease || !sameAlive(want, alive) {
		s.writeOwn(Write{What: whatAlive, Lease: lease, Reason: "alive is not as it should be",
			Txn: s.guarded(key, entry.ModRev, store.PutOn(key, store.Encode(want), store.LeaseID(lease)))})
		return
	}
	s.putInfo()
}

// leaveTxn takes the alive key away and says that this is no loss.
func (s *step) leaveTxn(key string, rev int64) store.Txn {
	info := s.info()
	info.Leaving = true
	t := s.guarded(key, rev, store.Delete(key))
	t.Then = append(t.Then, store.Put(s.o.Keys.Info(s.o.Machine), store.Encode(info)))
	return t
}

// alive is what the key should say. It is since when this instance has been there.
func (s *step) alive(now api.Alive, claimed bool) api.Alive {
	a := api.Alive{Instance: s.hello.Instance, BootID: s.o.Host.BootID, Host: hostName(s.o.Host.Name, s.o.PID), Hostname: s.o.Host.Name,
		Incarnation: s.o.Incarnation, Identity: s.o.Host, Containment: s.hello.Containment, Since: now.Since}
	if !claimed {
		a.Since = s.wall.UTC().Truncate(time.Second)
	}
	return a
}

func sameAlive(a, b api.Alive) bool { return bytes.Equal(store.Encode(a), store.Encode(b)) }

// hostName names an agent to whoever meets it as a namesake.
func hostName(host string, pid int) string { return fmt.Sprintf("%s (agent's pid %d)", host, pid) }

func (s *step) putInfo() {
	if s.own.encoded == nil {
		s.own.encoded = store.Encode(s.info())
	}
	key, value := s.o.Keys.Info(s.o.Machine), s.own.encoded
	if entry, found := s.mirror.get(key); !found || !bytes.Equal(entry.Value, value) {
		s.writeOwn(Write{What: whatInfo, Reason: "info differs", Txn: s.guarded(key, entry.ModRev, store.Put(key, value))})
	}
}

// info is what the key should say.
func (s *step) info() api.MachineInfo {
	info := s.own.info
	info.TakesAll, info.Containment = s.o.Mode == mode.Alone, s.hello.Containment
	info.Instance, info.Identity, info.KeeperVersion = s.hello.Instance, s.o.Host, s.hello.Version
	s.tellEarlier(&info)
	return info
}

// guarded does op if the key is as it was seen, and reads it again if not.
func (c *Core) guarded(key string, rev int64, op store.Op) store.Txn {
	return store.Txn{If: []store.Cmp{store.Unchanged(key, rev)}, Then: []store.Op{op}, Else: []store.Op{store.Get(key)}}
}

func (s *step) writeOwn(e Write) {
	ok, until := s.own.slot.free(s.now)
	if !ok {
		s.wake.add(until, "")
		return
	}
	s.own.slot.busy = true
	s.do(e)
}

func (s *step) ownWritten(ev Written) {
	if errors.Is(ev.Err, store.ErrLeaseNotFound) && ev.Effect.Lease != 0 {
		s.do(DropLease{ev.Effect.Lease})
		s.loseLease(ev.Effect.Lease)
	}
	if ev.Err != nil || !ev.Result.Succeeded {
		first := s.own.slot.fails == 0
		s.wake.add(s.own.slot.fail(s.now), "")
		if ev.Err != nil && first {
			s.o.Log.Warn("cannot "+ev.Effect.What, zap.Error(ev.Err))
		}
	} else {
		s.own.slot.succeed()
		s.o.Log.Debug("did "+ev.Effect.What, zap.String("reason", ev.Effect.Reason))
	}
	if ev.Err == nil {
		s.changed(s.mirror.answer(ev.Effect.Txn, ev.Result))
	}
}

// namesake decides about another instance under our name, which holds it as long as its lease lives: nobody takes a name over from a
// live holder. One of another host is refused at once. One of this host may be an agent that crashed and whose state was wiped, or
// one from before a boot: its lease is waited out, and when that outlives its time, the holder is alive and we are refused.
func (s *step) namesake(a api.Alive, lease int64) {
	if s.elsewhere(a) {
		s.do(Fail{fmt.Errorf("%w: machine %s is held by the agent on host %s, and this is host %s; %s",
			ErrName, s.o.Machine, a.Host, s.o.Host.Name, waysOn(s.o.Machine))})
		return
	}
	if s.own.namesake != a.Instance {
		s.own.namesake, s.own.asked, s.own.until = a.Instance, false, 0
		s.o.Log.Warn("the machine name is held by an earlier agent of this host, whose state is not here: waiting until its lease has run out",
			zap.String("machine", s.o.Machine), zap.String("holder", a.Host))
	}
	switch {
	case s.own.until == 0 && !s.own.asked && s.now >= s.own.slot.retry:
		s.own.asked = true
		s.do(AskLease{lease})
	case s.own.until != 0 && s.now >= s.own.until:
		s.do(Fail{fmt.Errorf("%w: machine %s is held by another agent, %s, which keeps renewing its lease, and this is host %s; %s",
			ErrName, s.o.Machine, a.Host, s.o.Host.Name, waysOn(s.o.Machine))})
	case s.own.until != 0:
		s.wake.add(s.own.until, "")
	}
}

// elsewhere reports whether a holder of our name is on another host, as far as is known: neither of this boot, nor of an earlier one.
func (s *step) elsewhere(a api.Alive) bool {
	if a.BootID == s.o.Host.BootID || s.o.Host.RebootedSince(a.Identity) {
		return false
	}
	other := a.Identity.Hardware != "" && a.Identity.Hardware != s.o.Host.Hardware
	return other || a.Hostname != "" && a.Hostname != s.o.Host.Name
}

// waysOn says what to do about two machines of one name.
func waysOn(machine string) string {
	return fmt.Sprintf("if this is another machine, for instance a copy of that one, give it a name of its own with --as NEWNAME; if it "+
		"replaces that one, remove that one first with \"distsuperctl machines remove %s\"", machine)
}

// leaseAnswered sets how long a namesake is waited for: until its lease must have run out, even if
// etcd elected a leader meanwhile and every lease started anew.
func (s *step) leaseAnswered(ev LeaseAnswered) {
	ttl := ev.TTL
	if ev.Err != nil && !errors.Is(ev.Err, store.ErrLeaseNotFound) {
		s.own.asked = false
		s.own.slot.retry = s.now.Add(retryMost)
		s.wake.add(s.own.slot.retry, "")
		return
	}
	s.own.until = s.now.Add(time.Duration(2*ttl+10) * time.Second)
	s.wake.add(s.own.until, "")
}
