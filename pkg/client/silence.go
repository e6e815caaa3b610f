package client

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/contact"
)

// SilentSince says when a machine that is silent renewed the lease of a process's touch last. It is told by what is left of the
// lease, so it is known only while the touch stands, to the second. A machine that still counts as live is silent when a quarter
// of the lease has passed without a renewal: its processes may be ending, whatever it told of them before.
func (c *Client) SilentSince(ctx context.Context, p Process) (time.Time, bool) {
	ttl := 0
	switch {
	case p.Placement != nil:
		ttl = p.Placement.Process.TouchTimeout
	case p.Spec != nil:
		ttl = p.Spec.TouchTimeout
	}
	if p.Lease == 0 || ttl == 0 {
		return time.Time{}, false
	}
	left, err := c.kv.TimeToLive(ctx, p.Lease)
	if err != nil || left > int64(ttl) {
		return time.Time{}, false
	}
	age := time.Duration(int64(ttl)-left) * time.Second
	if p.Live && age-time.Second < time.Duration(ttl)*time.Second/4 { // what is left is cut to whole seconds
		return time.Time{}, false
	}
	return c.wall().Add(-age), true
}

// Absence is what the store says of a machine that does not answer.
type Absence struct {
	// Live: its alive key stands, so it has renewed its lease within the last seconds.
	Live bool
	// Left: it stopped and released its processes by itself.
	Left bool
	// Lost is when it was lost; zero when that is not known.
	Lost time.Time
}

// Absence reads what the store says of a machine that does not answer.
func (c *Client) Absence(ctx context.Context, machine string) (Absence, error) {
	got, err := c.get(ctx, c.keys.Alive(machine), c.keys.Info(machine), c.keys.Losses(machine))
	if err != nil {
		return Absence{}, err
	}
	a := Absence{Live: got[0] != nil}
	if info, err := decode[api.MachineInfo](got[1]); err == nil && info != nil {
		a.Left = info.Leaving && !a.Live
	}
	if losses, err := decode[api.Losses](got[2]); err == nil && losses != nil && !a.Live && !a.Left {
		a.Lost = losses.Last
	}
	return a, nil
}

// Describe says it of the machine, as a sentence whose subject the machine is.
func (a Absence) Describe(machine string, now time.Time) string {
	switch {
	case a.Live:
		return machine + " still counts as live in etcd, so it has died just now, or cannot be reached from here"
	case a.Left:
		return machine + " has left the fleet: its agent was stopped"
	case a.Lost.IsZero():
		return machine + " is not live"
	}
	return machine + " has not been live " + Since(a.Lost, now)
}

// Since says since when something lasts, and how long that is.
func Since(t, now time.Time) string {
	age := now.Sub(t)
	at := t.Local().Format("15:04:05")
	if age >= 24*time.Hour {
		at = t.Local().Format("2006-01-02 15:04:05")
	}
	return "since " + at + " (" + contact.Span(age) + ")"
}
