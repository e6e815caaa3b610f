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
	"github.com/distsuper/distsuper/store"
)

// do begins an effect. What takes time is done on a goroutine, whose answer is an event.
func (a *Agent) do(ctx context.Context, e Effect) {
	switch e := e.(type) {
	case Write:
		a.work.Go(func() { a.transact(ctx, e) })
	case Call:
		a.work.Go(func() { a.call(ctx, e) })
	case GrantLease:
		a.work.Go(func() { a.grant(ctx, e) })
	case TellBehind:
		if a.o.Behind != nil {
			a.work.Go(func() { a.o.Behind(ctx, e.Err, e.Held, e.Leases) })
		}
	case AskLease:
		a.work.Go(func() {
			ttl, err := a.o.KV.TimeToLive(ctx, store.LeaseID(e.Lease))
			a.post(ctx, LeaseAnswered{ttl, err})
		})
	case SearchHost:
		a.work.Go(func() { a.post(ctx, HostSearched{e.Instance, a.searchHost(ctx, e.Instance)}) })
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

// transact does a transaction, with what history says of it.
func (a *Agent) transact(ctx context.Context, e Write) {
	a.stores <- struct{}{}
	defer func() { <-a.stores }()
	ctx2, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	t := a.withHistory(ctx2, e)
	res, err := a.o.KV.Txn(ctx2, t)
	switch {
	case errors.Is(err, store.ErrNoSpace) && len(e.WhenFull.Then) > 0:
		// A part is no success: what is left is tried again.
		if part, failed := a.o.KV.Txn(ctx2, e.WhenFull); failed != nil || !part.Succeeded {
			res, err = part, failed
		}
	case errors.Is(err, store.ErrLeaseNotFound) && len(t.Then) > len(e.Txn.Then):
		// It did not happen. Whose lease is gone, history's or ours, is seen without history.
		res, err = a.o.KV.Txn(ctx2, e.Txn)
		if err == nil && a.o.HistoryLost != nil {
			a.o.HistoryLost()
		}
	}
	if err == nil {
		a.holder.Observe(res.Term)
	}
	a.logWrite(e, res.Succeeded, err)
	a.post(ctx, Written{e, res, err})
}

// withHistory adds the events. A history that cannot be written holds up nothing.
func (a *Agent) withHistory(ctx context.Context, e Write) store.Txn {
	t := e.Txn
	if a.o.History == nil {
		return t
	}
	t.Then = slices.Clone(t.Then)
	for _, ev := range e.History {
		ev.Machine, ev.By = a.o.Machine, "agent "+a.o.Machine
		setTimes(&ev, a.o.Clock.Wall())
		op, err := a.o.History(ctx, ev)
		if err != nil {
			a.o.Log.Debug("history is not written", zap.String("process", ev.Process), zap.Error(err))
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
func (a *Agent) logWrite(e Write, succeeded bool, err error) {
	if len(e.Processes) == 0 {
		return
	}
	log := a.o.Log.Info
	if err != nil || !succeeded || e.What == plan.Report.String() {
		log = a.o.Log.Debug
	}
	log("wrote to etcd: "+e.What, zap.Strings("process", e.Processes), zap.Int64("token", e.Token),
		zap.String("reason", e.Reason), zap.Bool("succeeded", succeeded), zap.Error(err))
}

// call calls the keeper. A call that was begun is not broken off when the agent ends: its
// answer would be unknown.
func (a *Agent) call(ctx context.Context, e Call) {
	a.calls <- struct{}{}
	defer func() { <-a.calls }()
	ctx2, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	err := a.callKeeper(ctx2, e.Action)
	log := a.o.Log.Info
	switch {
	case err != nil:
		log = a.o.Log.Warn
		if errors.Is(err, keeper.ErrDeadline) || errors.Is(err, keeper.ErrNotFound) {
			log = a.o.Log.Debug
		}
	case e.Action.Kind == plan.Forget || e.Action.Kind == plan.Update:
		log = a.o.Log.Debug
	}
	log("called the keeper: "+e.Action.Kind.String(), zap.String("process", e.Action.Process),
		zap.Int64("token", e.Action.Token), zap.String("reason", e.Action.Reason), zap.Error(err))
	a.post(ctx, Called{e, err})
}

func (a *Agent) callKeeper(ctx context.Context, c plan.Action) error {
	k := a.o.Keeper
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

func (a *Agent) searchHost(ctx context.Context, instance string) error {
	if a.o.SearchHost == nil {
		return errors.New("this agent cannot search its host")
	}
	return a.o.SearchHost(ctx, instance)
}

func (a *Agent) grant(ctx context.Context, e GrantLease) {
	ctx2, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	l, err := a.holder.Grant(ctx2, e.TTL)
	a.post(ctx, Granted{e, l, err})
}
