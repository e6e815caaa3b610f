package agentd

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

// Doer does what an effect asks for and waits for the answer. Its methods may be called at once; they decide nothing.
type Doer struct {
	Machine string
	KV      store.KV
	Keeper  keeper.Keeper
	// History, HistoryLost, SearchHost, Controllers and Ask are those of Options.
	History     func(ctx context.Context, e api.HistoryEntry) (store.Op, error)
	HistoryLost func()
	SearchHost  func(ctx context.Context, instance string) error
	Controllers func(ctx context.Context) (promise.Set, error)
	Ask         func(ctx context.Context, c promise.Controller, ask promise.Ask) (promise.Answer, error)
	// Observe hears of the raft term of each answer.
	Observe func(term uint64)
	Clock   clock.Clock
	Log     *zap.Logger
}

// Do returns the event that answers an effect, nil where there is none: it is for the shell itself.
func (d Doer) Do(ctx context.Context, e Effect) Event {
	switch e := e.(type) {
	case Write:
		return d.transact(ctx, e)
	case Call:
		return d.call(ctx, e)
	case AskLease:
		ttl, err := d.KV.TimeToLive(ctx, store.LeaseID(e.Lease))
		return LeaseAnswered{ttl, err}
	case SearchHost:
		return HostSearched{e.Instance, d.searchHost(ctx, e.Instance)}
	case AskController:
		return d.askController(ctx, e)
	case ReadControllers:
		return d.readControllers(ctx, e)
	case TellHold:
		return d.tellHold(ctx, e)
	}
	return nil
}

// do begins an effect. What takes time is done on a goroutine, whose answer is an event.
func (a *Agent) do(ctx context.Context, e Effect) {
	switch e := e.(type) {
	case Write:
		a.work.Go(func() { a.inSlot(ctx, a.stores, e) })
	case Call:
		a.work.Go(func() { a.inSlot(ctx, a.calls, e) })
	case AskLease, SearchHost, AskController, ReadControllers, TellHold:
		a.work.Go(func() { a.post(ctx, a.doer.Do(ctx, e)) })
	case GrantLease:
		a.work.Go(func() { a.grant(ctx, e) })
	case TellBehind:
		if a.o.Behind != nil {
			a.work.Go(func() { a.o.Behind(ctx, e.Err, e.Held, e.Leases) })
		}
	case DropLease:
		a.holder.Drop(e.Lease)
	case HaltRenewals:
		a.holder.Halt(e.Halt)
	case Left:
		a.untold = e.Untold
		close(a.left)
	case Fail:
		select {
		case a.fail <- e.Err:
		default:
		}
	}
}

// inSlot does an effect when it is its turn.
func (a *Agent) inSlot(ctx context.Context, slots chan struct{}, e Effect) {
	slots <- struct{}{}
	defer func() { <-slots }()
	a.post(ctx, a.doer.Do(ctx, e))
}

// transact does a transaction, with what history says of it.
func (d Doer) transact(ctx context.Context, e Write) Event {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	t := d.withHistory(ctx, e)
	res, err := d.KV.Txn(ctx, t)
	switch {
	case errors.Is(err, store.ErrNoSpace) && len(e.WhenFull.Then) > 0:
		// A part is no success: what is left is tried again.
		if part, failed := d.KV.Txn(ctx, e.WhenFull); failed != nil || !part.Succeeded {
			res, err = part, failed
		}
	case errors.Is(err, store.ErrLeaseNotFound) && len(t.Then) > len(e.Txn.Then):
		// It did not happen. Whose lease is gone, history's or ours, is seen without history.
		res, err = d.KV.Txn(ctx, e.Txn)
		if err == nil && d.HistoryLost != nil {
			d.HistoryLost()
		}
	}
	if err == nil {
		d.Observe(res.Term)
	}
	d.logWrite(e, res.Succeeded, err)
	return Written{e, res, err}
}

// withHistory adds the events. A history that cannot be written holds up nothing.
func (d Doer) withHistory(ctx context.Context, e Write) store.Txn {
	t := e.Txn
	if d.History == nil {
		return t
	}
	t.Then = slices.Clone(t.Then)
	for _, ev := range e.History {
		ev.Machine, ev.By = d.Machine, "agent "+d.Machine
		setTimes(&ev, d.Clock.Wall())
		op, err := d.History(ctx, ev)
		if err != nil {
			d.Log.Debug("history is not written", zap.String("process", ev.Process), zap.Error(err))
			return e.Txn
		}
		t.Then = append(t.Then, op)
	}
	return t
}

// setTimes completes when an entry happened and, where that was some time ago, when it is told. A clock that was set back meanwhile
// makes nothing happen in the future.
func setTimes(e *api.HistoryEntry, now time.Time) {
	switch late := now.Sub(e.At); {
	case e.At.IsZero(), late < 0:
		e.At = now
	case late > time.Second:
		e.Told = now.UTC()
	}
	e.At = e.At.UTC()
}

// logWrite logs what a transaction for a process came to.
func (d Doer) logWrite(e Write, succeeded bool, err error) {
	if len(e.Processes) == 0 {
		return
	}
	log := d.Log.Info
	if err != nil || !succeeded || e.What == plan.Report.String() {
		log = d.Log.Debug
	}
	log("wrote to etcd: "+e.What, zap.Strings("process", e.Processes), zap.Int64("token", e.Token),
		zap.String("reason", e.Reason), zap.Bool("succeeded", succeeded), zap.Error(err))
}

// call calls the keeper. A call that was begun is not broken off when the agent ends: its
// answer would be unknown.
func (d Doer) call(ctx context.Context, e Call) Event {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	err := d.callKeeper(ctx, e.Action)
	log := d.Log.Info
	switch {
	case err != nil:
		log = d.Log.Warn
		if errors.Is(err, keeper.ErrDeadline) || errors.Is(err, keeper.ErrNotFound) {
			log = d.Log.Debug
		}
	case e.Action.Kind == plan.Forget || e.Action.Kind == plan.Update:
		log = d.Log.Debug
	}
	log("called the keeper: "+e.Action.Kind.String(), zap.String("process", e.Action.Process),
		zap.Int64("token", e.Action.Token), zap.String("reason", e.Action.Reason), zap.Error(err))
	return Called{e, err}
}

func (d Doer) callKeeper(ctx context.Context, c plan.Action) error {
	k := d.Keeper
	switch c.Kind {
	case plan.Start:
		return k.Start(ctx, c.Request)
	case plan.Update:
		return k.Update(ctx, c.Request)
	case plan.Stop:
		return k.Stop(ctx, c.Ref())
	case plan.Kill:
		return k.Kill(ctx, c.Ref())
	case plan.Forget:
		return k.Forget(ctx, c.Ref(), c.Remove)
	case plan.RemoveLogs:
		return k.RemoveLogs(ctx, c.Process)
	}
	return errors.New("no call of the keeper: " + c.Kind.String())
}

func (d Doer) searchHost(ctx context.Context, instance string) error {
	if d.SearchHost == nil {
		return errors.New("this agent cannot search its host")
	}
	return d.SearchHost(ctx, instance)
}

func (a *Agent) grant(ctx context.Context, e GrantLease) {
	ctx2, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	l, err := a.holder.Grant(ctx2, e.TTL)
	a.post(ctx, Granted{e, l, err})
}
