// Package control carries out commands about processes and groups, and reports what became of them.
//
// It finds the processes that names mean, asks package client for the change, waits until each process has reached its
// Goal or cannot reach it, and reports an Outcome with one of supervisor's fault codes for each. It decides by facts
// (api.Fault, api.WaitingFor, api.MoveRefused, client.Awaits) and never by a sentence, since sentences are for people and
// may be rewritten.
//
// All front ends share it: distsuperctl, the Go API, and whatever answers over the network. It prints nothing and knows
// neither flags nor exit codes. A Control may be used by several goroutines.
package control

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
)

// Control carries out commands.
type Control struct {
	client *client.Client
	o      Options
}

// Options are what differs between deployments. The zero Options are those of a fleet.
type Options struct {
	// FirstTryTells: a start fails with its first try, as with supervisorctl, whose scripts rely on it. Otherwise it goes
	// on until the process runs or is given up.
	FirstTryTells bool
	// InOrder reports the outcomes of a group in the order in which its processes start. Otherwise they are reported as
	// they come.
	InOrder bool
	// SlowAfter is how long a process may be in one state before Progress hears of it; 0 is 700 ms.
	SlowAfter time.Duration
	// Listens reports whether the daemon that carries out requests is there. When it has been away for some seconds,
	// waiting ends with ErrEnded. Nil is for a fleet, where other daemons take over.
	Listens func(context.Context) bool
	// Progress receives news while a call waits, from one goroutine. Nil drops it.
	Progress func(Progress)
}

// New makes a Control that asks by a client.
func New(c *client.Client, o Options) *Control {
	if o.SlowAfter == 0 {
		o.SlowAfter = 700 * time.Millisecond
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return &Control{client: c, o: o}
}

// Wait says how long somebody who asks waits. The zero Wait lasts as long as something can still happen.
type Wait struct {
	// Not: what is asked for is to stand in the store, and no more.
	Not bool
	// Timeout ends waiting, but not what was asked for; 0 is for none.
	Timeout time.Duration
}

// limit is a Wait that has begun.
type limit struct {
	Wait
	until time.Time
}

func (w Wait) begin() limit { return limit{w, time.Now().Add(w.Timeout)} }

// bound makes the context end with the time.
func (l limit) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.Timeout > 0 {
		return context.WithDeadline(ctx, l.until)
	}
	return context.WithCancel(ctx)
}
