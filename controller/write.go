package controller

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store"
)

const (
	// A transaction holds at most so many processes, compares or operations, and bytes: below etcd's limits,
	// and small enough that writes of others get between.
	batchProcesses = 16
	batchOps       = 100
	batchBytes     = 512 << 10
)

// write makes transactions of the actions, several processes in one. Those whose batch
// failed before go singly.
func (c *Core) write(wall time.Time, actions []*plan.Action) []Effect {
	var effects []Effect
	var batch batch
	flush := func() {
		if len(batch.actions) > 0 {
			effects = append(effects, c.send(batch))
		}
		batch.clear()
	}
	for _, a := range actions {
		cmps, ops := c.compares(a), c.ops(a)
		history := c.history(wall, a)
		if c.progress(a.Process).alone {
			effects = append(effects, c.send(newBatch(a, cmps, ops, history)))
			continue
		}
		if !batch.fits(cmps, ops) {
			flush()
		}
		batch.add(a, cmps, ops, history)
	}
	flush()
	return effects
}

// batch is a transaction in the making.
type batch struct {
	actions []*plan.Action
	txn     store.Txn
	history []api.HistoryEntry
	bytes   int
}

func newBatch(a *plan.Action, cmps []store.Cmp, ops []store.Op, history []api.HistoryEntry) (b batch) {
	b.add(a, cmps, ops, history)
	return b
}

func (b *batch) clear() { *b = batch{} }

func (b *batch) fits(cmps []store.Cmp, ops []store.Op) bool {
	return len(b.actions) == 0 || len(b.actions) < batchProcesses &&
		len(b.txn.If)+len(cmps) <= batchOps && len(b.txn.Then)+len(ops)+len(b.history)+1 <= batchOps && b.bytes+size(ops) <= batchBytes
}

func (b *batch) add(a *plan.Action, cmps []store.Cmp, ops []store.Op, history []api.HistoryEntry) {
	b.actions = append(b.actions, a)
	b.txn.If = append(b.txn.If, cmps...)
	b.txn.Then = append(b.txn.Then, ops...)
	b.bytes += size(ops)
	b.history = append(b.history, history...)
}

func size(ops []store.Op) (n int) {
	for _, op := range ops {
		n += len(op.Key) + len(op.Value)
	}
	return n
}

// send completes a transaction with the leader's guards, and reads the election key where
// it fails, to tell a lost leadership from a view that is out of date.
func (c *Core) send(b batch) Effect {
	c.lastID++
	c.flights[c.lastID] = b.actions
	for _, a := range b.actions {
		p := c.progress(a.Process)
		p.flying, p.to, p.planned = true, "", c.view.Rev
		if a.Owner != nil && a.Owner.Placed {
			p.to = a.Owner.Machine
		}
	}
	b.txn.If = append(b.txn.If, c.guards()...)
	b.txn.Else = []store.Op{store.Get(c.lead.Key)}
	return Write{ID: c.lastID, Txn: b.txn, WhenFull: c.whenFull(b), History: b.history}
}

// guards are what every write of a leader compares: that it leads, and that it is registered. Whoever was forgotten, or whose place
// another life took, may still lead by an election that nobody has ended, and nobody asks it for promises any more.
func (c *Core) guards() []store.Cmp {
	guards := []store.Cmp{c.lead.Guard()}
	if c.registers {
		guards = append(guards, store.Unchanged(c.keys.Controller(c.id), c.entry))
	}
	return guards
}

// whenFull is what of a batch is done in an etcd that takes nothing more: a process is taken off its machine, and so it stops.
// The owner still names that run until it can be written, so all that could start another one waits for the end of this one,
// as it always does. What is wanted stays where it runs: it could be placed nowhere else.
func (c *Core) whenFull(b batch) store.Txn {
	if len(b.actions) != 1 || b.actions[0].Kind != plan.Unplace || c.view.Processes[b.actions[0].Process].Wanted() {
		return store.Txn{}
	}
	t := store.Txn{If: b.txn.If, Else: b.txn.Else}
	t.Then = slices.DeleteFunc(slices.Clone(b.txn.Then), func(o store.Op) bool { return o.Kind != store.OpDelete })
	return t
}

// writeLosses has the machines that were lost noted. A note that fails is missed: it is no more than a reason to be careful.
func (c *Core) writeLosses(wall time.Time) (effects []Effect) {
	for _, l := range c.view.TakeLosses(wall) {
		key := c.keys.Losses(l.Machine)
		c.log.Warn("machine lost", zap.String("machine", l.Machine), zap.Int("in_a_row", l.Losses.Count), zap.Int("avoided_seconds", l.Losses.Wait))
		effects = append(effects, c.send(batch{
			txn:     store.Txn{If: []store.Cmp{store.Unchanged(key, l.Rev)}, Then: []store.Op{store.Put(key, store.Encode(l.Losses))}},
			history: []api.HistoryEntry{{At: wall, Machine: l.Machine, What: "lost", Why: l.Why, By: "leader " + c.id}},
		}))
	}
	return effects
}

// writeTroubles has it noted on which machines starts fail, and succeed again. A machine that is alone is never avoided.
func (c *Core) writeTroubles(wall time.Time) (effects []Effect) {
	if c.mode == mode.Alone {
		return nil
	}
	for _, j := range c.view.TakeTroubles(wall, c.again) {
		key, what, say := c.keys.Trouble(j.Machine), "avoided", "starts fail on a machine; it is avoided"
		if !j.Trouble.Over.IsZero() {
			what, say = "not avoided any more", "starts succeed on a machine again"
		}
		c.log.Warn(say, zap.String("machine", j.Machine), zap.String("reason", j.Why))
		effects = append(effects, c.send(batch{
			txn:     store.Txn{If: []store.Cmp{store.Unchanged(key, j.Rev)}, Then: []store.Op{store.Put(key, store.Encode(j.Trouble))}},
			history: []api.HistoryEntry{{At: wall, Machine: j.Machine, What: what, Why: j.Why, By: "leader " + c.id}},
		}))
	}
	c.again = false
	return effects
}

// compares are the conditions of an action.
func (c *Core) compares(a *plan.Action) []store.Cmp {
	cmps := []store.Cmp{store.Unchanged(c.keys.Owner(a.Process), a.OwnerRev), store.Unchanged(c.keys.Intent(a.Process), a.IntentRev)}
	if a.Placement != nil {
		cmps = append(cmps, store.Unchanged(c.keys.Placement(a.Placement.Machine, a.Process), a.Placement.Rev))
	}
	for _, f := range a.Free {
		cmps = append(cmps, store.Absent(c.keys.Touch(f.Machine, a.Process)),
			store.Unchanged(c.keys.Status(f.Machine, a.Process), f.Rev))
	}
	return cmps
}

// ops are the changes of an action.
func (c *Core) ops(a *plan.Action) []store.Op {
	var ops []store.Op
	switch {
	case a.DeleteOwner:
		ops = append(ops, store.Delete(c.keys.Owner(a.Process)))
	case a.Owner != nil:
		ops = append(ops, store.Put(c.keys.Owner(a.Process), store.Encode(a.Owner)))
	}
	for _, m := range a.Unplace {
		ops = append(ops, store.Delete(c.keys.Placement(m, a.Process)))
	}
	for _, m := range a.Statuses {
		ops = append(ops, store.Delete(c.keys.Status(m, a.Process)))
	}
	if a.Put != nil {
		ops = append(ops, store.Put(c.keys.Placement(a.PutOn, a.Process), store.Encode(a.Put)))
	}
	return ops
}

// history is the entry that an action leaves, none for a quiet one.
func (c *Core) history(wall time.Time, a *plan.Action) []api.HistoryEntry {
	if a.Quiet {
		return nil
	}
	e := api.HistoryEntry{At: wall, Process: a.Process, Machine: a.From, What: what(a), Why: a.Why, By: "leader " + c.id}
	if a.Put != nil {
		e.Machine, e.Token = a.PutOn, a.Put.Token
	}
	if a.Kind == plan.Place && a.Owner.Proof != api.ProofNone {
		e.Why += "; the run before: " + string(a.Owner.Proof)
	}
	return []api.HistoryEntry{e}
}

func what(a *plan.Action) string {
	switch a.Kind {
	case plan.Place:
		if a.From != "" && a.From != a.PutOn {
			return "moved"
		}
		return "placed"
	case plan.Restart:
		return "restart placed"
	case plan.Settings:
		return "settings changed"
	case plan.Unplace:
		return "placement removed"
	case plan.Finish:
		if *a.Owner.Finished == api.Fatal {
			return "given up"
		}
		return "finished"
	case plan.Remove:
		return "removed"
	case plan.Sweep:
		return "cleaned up"
	default:
		if a.Owner.WaitingFor != api.WaitingForNothing {
			return "waiting"
		}
		return "noted"
	}
}

// written takes the answer to a transaction in. Whatever it is, the view is the truth: an answer that got lost
// shows there, too.
func (c *Core) written(now clock.Instant, e Written) []Effect {
	actions, ok := c.flights[e.ID]
	if !ok || c.lead == nil {
		return nil // of an earlier leadership
	}
	delete(c.flights, e.ID)
	switch {
	case errors.Is(e.Err, store.ErrBehind):
		return []Effect{Fail{Err: e.Err}}
	case e.Err == nil && !e.Result.Succeeded && !c.stillLeads(e.Result):
		return []Effect{c.stepDown("a write failed, since another leads")}
	}
	c.tellFailure(e.Err, len(actions))
	for _, a := range actions {
		p := c.progress(a.Process)
		p.flying = false
		c.view.Mark(a.Process)
		switch {
		case e.Err == nil && e.Result.Succeeded:
			*p = progress{until: e.Result.Rev, to: p.to}
			c.tell(a)
		case len(actions) > 1 && (e.Err == nil || errors.Is(e.Err, store.ErrInvalid) || errors.Is(e.Err, store.ErrNoSpace)):
			p.alone = true // one of them failed: each for itself, at once
		case e.Err != nil:
			p.planned = max(p.planned, c.view.Rev)
			c.pause(now, p)
		default:
			c.pause(now, p)
		}
	}
	return nil
}

// tellFailure logs a reason for which writes fail once, and how many failed when one succeeds again: while etcd is full, or away,
// all fail for the same reason for as long as that lasts.
func (c *Core) tellFailure(err error, processes int) {
	why := ""
	switch {
	case errors.Is(err, store.ErrNoSpace):
		why = "etcd is full (NOSPACE): only stops are carried out, until distsuperctl defrag makes room"
	case errors.Is(err, store.ErrUnavailable):
		why = "a write got no answer; looking again"
	case err != nil:
		why = "a write was refused; looking again"
	}
	switch {
	case why == "" && c.missed > 0:
		c.log.Info("writes succeed again", zap.Int("failed", c.missed))
		c.missed = 0
	case why == "":
	case why != c.failed:
		c.log.Warn(why, zap.Int("processes", processes), zap.Error(err))
		c.missed = 1
	default:
		c.missed++
	}
	c.failed = why
}

// pause lets the view move on before the process is written again; the more failed, the longer.
func (c *Core) pause(now clock.Instant, p *progress) {
	p.retry = now.Add(min(retryLeast<<min(p.failed, 10), retryMost))
	p.failed++
}

// stillLeads looks at the election key that a failed transaction read.
func (c *Core) stillLeads(r store.TxnResult) bool {
	return len(r.Got) == 1 && r.Got[0] != nil && r.Got[0].CreateRev == c.lead.Rev
}

// tell logs a change that was made.
func (c *Core) tell(a *plan.Action) {
	fields := []zap.Field{zap.String("process", a.Process), zap.String("reason", a.Why)}
	if a.From != "" {
		fields = append(fields, zap.String("from", a.From))
	}
	if a.Put != nil {
		fields = append(fields, zap.String("machine", a.PutOn), zap.Int64("token", a.Put.Token))
	}
	if a.Owner != nil && a.Owner.Proof != api.ProofNone {
		fields = append(fields, zap.String("proof", string(a.Owner.Proof)))
	}
	c.log.Info(fmt.Sprintf("process %s", what(a)), fields...)
}
