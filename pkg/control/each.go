package control

import (
	"context"
	"errors"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// Signal sends a signal, by name or number, to processes, one after the other. send asks a process's machine for it, by the
// signal's proper name.
func (c *Control) Signal(ctx context.Context, signal string, names []string, send func(ctx context.Context, p *client.Process, signal string) error,
	report func(Outcome)) error {
	parsed, bad := ini.ParseSignal(signal)
	return c.each(ctx, names, Signal, report, func(many bool, p *client.Process) Check {
		switch {
		case bad != nil && (!many || p.State.IsSignallable()):
			return ended(supervisor.BadSignal, bad.Error())
		case !p.State.IsSignallable() || p.Owner == nil || p.Owner.Machine == "":
			return ended(supervisor.NotRunning, "")
		}
		err := send(ctx, p, parsed.Name)
		switch {
		case errors.Is(err, rpc.ErrNotRunning), errors.Is(err, rpc.ErrNotFound):
			return ended(supervisor.NotRunning, "")
		case err != nil:
			return ended(supervisor.Failed, Refusal(err))
		}
		return ended(supervisor.Success, "")
	})
}

// Clear empties the logs of processes, one after the other. empty asks a process's machine for it.
func (c *Control) Clear(ctx context.Context, names []string, empty func(context.Context, *client.Process) error, report func(Outcome)) error {
	return c.each(ctx, names, Clear, report, func(_ bool, p *client.Process) Check {
		if p.Owner == nil || p.Owner.Machine == "" {
			return ended(supervisor.Success, "") // it has never run: there is nothing to clear
		}
		if err := empty(ctx, p); err != nil && !errors.Is(err, rpc.ErrNotFound) {
			return ended(supervisor.Failed, Refusal(err))
		}
		return ended(supervisor.Success, "")
	})
}

// each applies do to the processes that names mean, one after the other. A process that does not run is passed over where
// a name means many.
func (c *Control) each(ctx context.Context, names []string, v Verb, report func(Outcome), do func(many bool, p *client.Process) Check) error {
	s, err := c.find(ctx, names)
	if err != nil {
		return err
	}
	order := newSequence(s.batches, report)
	for i, b := range s.batches {
		if b.Bad != nil {
			order.addTo(i, badOutcome(v, b.Bad))
		}
		for _, name := range b.Processes {
			o := s.outcome(v, name)
			if err := ctx.Err(); err != nil {
				o.Fault, o.Text, o.Passed = supervisor.Failed, err.Error(), true
				order.add(o)
				continue
			}
			did := do(b.Many, o.Process)
			o.Fault, o.Text = did.Fault, did.Text
			o.Changed = o.Fault == supervisor.Success
			o.Passed = b.Many && o.Fault == supervisor.NotRunning
			order.add(o)
		}
	}
	return ctx.Err()
}

// Refusal is the text of a daemon's answer, without the name of the daemon that was asked.
func Refusal(err error) string {
	if answer := new(rpc.Error); errors.As(err, &answer) {
		return answer.Text
	}
	return err.Error()
}

// PID is that of a process's present copy, 0 when it has none.
func PID(p *client.Process) int {
	if p.Status == nil || !p.State.IsRunning() && !p.State.IsSignallable() {
		return 0
	}
	return p.Status.PID
}
