package agentd

import (
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/store"
)

func (s *step) transact(p *proc, a plan.Action) {
	if !s.begin(p, &p.store) {
		return
	}
	if a.Kind == plan.Release {
		p.memory.Released = a.Token
	}
	p.putting = a.Kind == plan.PutTouch
	s.do(Write{What: a.Kind.String(), Processes: []string{p.id}, Txn: a.Txn, WhenFull: a.WhenFull,
		History: a.History, Reason: a.Reason, Token: a.Token, Lease: a.Lease})
}

// written: what the transaction did or read is known at once, without waiting for the watch.
func (s *step) written(ev Written) {
	s.noteRefusal(ev.Err)
	s.noteSilence(ev.Err)
	if len(ev.Effect.Processes) == 0 {
		s.ownWritten(ev)
		return
	}
	switch {
	case ev.Effect.What == plan.Report.String():
		s.batch = false
	case ev.Effect.What == whatHeld && ev.Err == nil:
		s.heldTold(ev.Effect.Processes)
	}
	if errors.Is(ev.Err, store.ErrLeaseNotFound) && ev.Effect.Lease != 0 {
		s.do(DropLease{ev.Effect.Lease})
		s.loseLease(ev.Effect.Lease)
	}
	s.noteInvalid(ev)
	for _, id := range ev.Effect.Processes {
		p := s.changing(id)
		p.putting = false
		if ev.Err == nil && ev.Result.Succeeded {
			p.store.succeed()
			p.alone = false
			continue
		}
		first := p.store.fails == 0
		p.alone = p.alone || !first && ev.Err == nil || errors.Is(ev.Err, store.ErrInvalid)
		again := p.store.fail(s.now)
		if first && ev.Err == nil {
			p.store.retry = s.now // the facts that it read again are fresh: decide at once
			continue
		}
		s.wake.add(again, id)
	}
	if ev.Err == nil {
		s.changed(s.mirror.answer(ev.Effect.Txn, ev.Result))
	}
}

// noteInvalid logs what etcd refuses for its form, when it is written the first time and the first time alone.
func (s *step) noteInvalid(ev Written) {
	known := func(id string) bool { return s.changing(id).store.fails > 1 }
	if errors.Is(ev.Err, store.ErrInvalid) && !slices.ContainsFunc(ev.Effect.Processes, known) {
		s.o.Log.Error("etcd refuses a write for its form: the fleet does not learn what it says",
			zap.String("write", ev.Effect.What), zap.Strings("processes", ev.Effect.Processes), zap.Error(ev.Err))
	}
}

// noteRefusal keeps in mind what waiting does not heal.
func (c *Core) noteRefusal(err error) {
	lasting := errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrPermission)
	switch {
	case err == nil && c.refused != nil:
		c.o.Log.Info("etcd takes writes again")
		c.refused = nil
	case lasting && c.refused == nil:
		c.o.Log.Error("etcd refuses writes: nothing new is started, and the fleet does not learn what has ended", zap.Error(err))
		c.refused = err
	}
}
