package agentd

import (
	"context"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
)

// askController asks for no longer than until the next ask.
func (d Doer) askController(ctx context.Context, e AskController) Event {
	ctx, cancel := context.WithTimeout(ctx, promise.AskEvery)
	defer cancel()
	to, ask := e.Send.To, e.Send.Ask
	answer, err := d.Ask(ctx, to, ask)
	if err != nil {
		d.Log.Debug("a controller was asked and did not answer", zap.String("controller", to.ID), zap.Error(err))
		return Promise{e.Epoch, promise.Failed{Controller: to.ID, Number: ask.Number, Err: err}}
	}
	return Promise{e.Epoch, promise.Answered{Answer: answer}}
}

// readControllers reads which controllers there are. The set counts from before that.
func (d Doer) readControllers(ctx context.Context, e ReadControllers) Event {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	sent := deadline.Now(d.Clock)
	set, err := d.Controllers(ctx)
	if err != nil {
		d.Log.Debug("the controllers cannot be read", zap.Error(err))
		return Promise{e.Epoch, promise.SetFailed{}}
	}
	set.Read = sent
	return Promise{e.Epoch, promise.SetRead{Set: set}}
}

// tellHold tells the keeper what the controllers have promised.
func (d Doer) tellHold(ctx context.Context, e TellHold) Event {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return HoldTold{e.Epoch, d.Keeper.Hold(ctx, e.Promises)}
}
