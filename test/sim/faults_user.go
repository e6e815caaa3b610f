package sim

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
)

// userKinds are the user's hand in the middle of it.
var userKinds = []kind{
	at("user stops and starts", func(w *World, f Fault) {
		p := w.process(f.A)
		w.Users.Stop(p)
		w.After(time.Duration(f.B)*400*time.Millisecond, func() { w.Users.Start(p) })
	}),
	at("user stops", func(w *World, f Fault) { w.Users.Stop(w.process(f.A)) }),
	at("user starts", func(w *World, f Fault) { w.Users.Start(w.process(f.A)) }),
	at("user restarts", func(w *World, f Fault) { w.Users.Restart(w.process(f.A)) }),
	at("user moves", func(w *World, f Fault) {
		to := ""
		if f.B%2 == 0 {
			to = w.machine(f.B / 2).Name
		}
		w.Users.Move(w.process(f.A), to)
	}),
	lasting("user drains", 20*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A).Name
		w.Users.cordoned("drain "+m, func(ctx context.Context, c *client.Client) error { _, err := c.Drain(ctx, m, f.B%2 == 0); return err })
		return func() { w.Users.uncordon(m) }
	}),
	lasting("user cordons", 20*time.Second, func(w *World, f Fault) func() {
		m := w.machine(f.A).Name
		w.Users.cordoned("cordon "+m, func(ctx context.Context, c *client.Client) error { _, err := c.Cordon(ctx, m); return err })
		return func() { w.Users.uncordon(m) }
	}),
	at("user changes touch_timeout", func(w *World, f Fault) {
		w.Users.Change(w.process(f.A), func(p *api.Program) { p.TouchTimeout = 2 + f.B })
	}),
	at("user changes the command", func(w *World, f Fault) {
		w.Users.Change(w.process(f.A), func(p *api.Program) { p.Command += " x" })
	}),
	at("user changes a setting that needs no restart", func(w *World, f Fault) {
		w.Users.Change(w.process(f.A), func(p *api.Program) { p.StopWaitSecs = 1 + f.B })
	}),
	at("user removes and creates", func(w *World, f Fault) {
		p := w.process(f.A)
		w.Users.Remove(p)
		w.After(time.Duration(f.B)*400*time.Millisecond, func() { w.Users.Create(p, w.programs[p], w.specs[p]...) })
	}),
	at("user confirms a death", func(w *World, f Fault) {
		m := w.machine(f.A)
		if m.on { // the user makes sure that it is off
			return
		}
		w.Users.Do("confirm the death of "+m.Name, func(ctx context.Context, c *client.Client) error {
			_, err := c.ConfirmDead(ctx, m.Name)
			return err
		})
	}),
	at("user forgets a controller", func(w *World, f Fault) {
		id := w.controller(f.A).ID
		w.Users.Do("forget "+id, func(ctx context.Context, c *client.Client) error { return c.ForgetController(ctx, id, false) })
	}),
	at("user forgets a machine", func(w *World, f Fault) {
		m := w.machine(f.A).Name
		w.Users.Do("forget "+m, func(ctx context.Context, c *client.Client) error { return c.Forget(ctx, m) })
	}),
}

// process is one of those that there were at the beginning.
func (w *World) process(i int) string {
	if len(w.wanted) == 0 {
		return "none"
	}
	return w.wanted[i%len(w.wanted)]
}
