// Package control carries out what somebody asks of processes and groups, and says what became of it.
//
// It finds the processes that names mean, asks package client for the change, waits until each process is as it was
// asked to be or cannot become so, and gives each an Outcome with one of supervisor's fault codes. It decides by facts
// (api.Fault, api.WaitingFor, api.MoveRefused, client.Awaits), never by a sentence: those are for people, and may be
// rewritten.
//
// Whoever takes commands shares it: distsuperctl, and what answers over the network. It prints nothing, and knows
// neither flags nor exit codes; these are its callers'. A Control may be used by several goroutines.
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

// Options are what differs between those who ask. The zero Options are a fleet's.
type Options struct {
	// FirstTryTells: a start has failed when its first try has, as with supervisorctl, whose scripts rely on it; else it
	// goes on until the process runs or is given up.
	FirstTryTells bool
	// InOrder tells the outcomes of a group, too, in the order in which its processes start; else as they come.
	InOrder bool
	// SlowAfter is how long a process may be in one state before Progress is told of it; 0 is 700 ms.
	SlowAfter time.Duration
	// Listens reports whether the daemon that carries out what was asked is there. When it has not been for some
	// seconds, waiting ends with ErrEnded. Nil is for a fleet, where others take over.
	Listens func(context.Context) bool
	// Progress is told how waiting goes, from one goroutine; nil is for nobody.
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
