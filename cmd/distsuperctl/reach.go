package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store/trust"
)

// reachLimit is how long a machine has, by all ways together, to begin an answer; who waits for it is told within 3 s. The direct
// way has half of it.
const reachLimit = 2700 * time.Millisecond

// ways are how the agent of a machine can be reached: directly, or where that is impossible from here through a controller.
type ways struct {
	info        api.MachineInfo
	limit       time.Duration                                   // 0 is reachLimit
	controllers func(context.Context) ([]api.Controller, error) // asked for when it comes to that
	cert        tls.Certificate
}

// atMachine does something with the agent of a machine. What do asks may be asked twice when an answer gets lost, unless it
// does by askOnce. When nobody answers, the error says since when the machine is gone, as etcd knows it.
func (c *ctl) atMachine(ctx context.Context, machine, what string, do func(*rpc.Client) error) error {
	find := c.waysTo
	if c.etcdIsSilent() {
		find = c.rememberedWays
	}
	w, err := find(ctx, machine)
	if errors.Is(err, trust.ErrNoMachine) {
		return fmt.Errorf("%s: machine %s is no longer known", what, machine)
	}
	if err == nil {
		err = w.try(ctx, do)
	}
	if nobody := new(nobodyAnswers); errors.As(err, &nobody) {
		return fmt.Errorf("%s: %s: %w", what, c.absence(ctx, machine), err)
	}
	return err
}

// absence says what is known about a machine that does not answer.
func (c *ctl) absence(ctx context.Context, machine string) string {
	if c.etcdIsSilent() {
		return "etcd is silent, too, so nothing is known about " + machine + " (on it, distsuperagent status -l asks its keeper)"
	}
	a, err := c.client.Absence(ctx, machine)
	if err != nil {
		return "nothing is known about " + machine
	}
	return a.Describe(machine, time.Now())
}

// waysTo asks etcd how a machine is reached.
func (c *ctl) waysTo(ctx context.Context, machine string) (w ways, err error) {
	w.controllers = c.controllers
	if w.info, err = trust.Machine(ctx, c.kv, c.keys, machine); err == nil {
		w.cert, err = trust.Mint(ctx, c.kv, c.keys, c.who)
	}
	return w, err
}

// nobodyAnswers is what went wrong on each way.
type nobodyAnswers struct{ tried []error }

func (e *nobodyAnswers) Error() string {
	texts := make([]string, len(e.tried))
	for i, err := range e.tried {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e *nobodyAnswers) Unwrap() []error { return e.tried }

// try goes one way after the other. Its error is the agent's own answer, or a *nobodyAnswers.
func (w ways) try(ctx context.Context, do func(*rpc.Client) error) error {
	limit := cmp.Or(w.limit, reachLimit)
	until := time.Now().Add(limit)
	agent, err := rpc.Agents{Cert: w.cert}.Client(w.info)
	if err == nil {
		defer agent.Close()
		err = do(agent.Within(limit / 2))
	}
	if err == nil || answered(err) || ctx.Err() != nil {
		return err
	}
	tried := []error{err}
	controllers := w.passing(ctx)
	for i, d := range controllers {
		controller := rpc.NewClient(d.HTTP, mtls.ClientConfig(w.cert, d.Fingerprint))
		defer controller.Close()
		err := do(controller.Through(w.info.Name).Within(share(until, len(controllers)-i)))
		if err == nil || answered(err) || ctx.Err() != nil {
			return err
		}
		tried = append(tried, err)
	}
	return &nobodyAnswers{tried}
}

// share is one of n equal parts of the time until a moment, but long enough to mean something.
func share(until time.Time, n int) time.Duration {
	return max(time.Until(until)/time.Duration(n), 300*time.Millisecond).Round(time.Millisecond)
}

// passing are the controllers that can be asked to pass something on, none when that cannot be found out.
func (w ways) passing(ctx context.Context) (out []api.Controller) {
	all, err := w.controllers(ctx)
	if err != nil {
		return nil
	}
	for _, d := range all {
		if reachable(d) {
			out = append(out, d)
		}
	}
	return out
}

// errMaybeDone says that what was asked was sent, and that no answer came.
var errMaybeDone = errors.New("no answer came, so it may have been done; it is not sent twice")

// askOnce asks for what must not be done twice. When the answer is lost its error is errMaybeDone, which ends atMachine.
func askOnce(ctx context.Context, ask func(context.Context) error) error {
	var sent atomic.Bool
	err := ask(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}))
	if said := new(rpc.Error); err == nil || !sent.Load() || errors.As(err, &said) {
		return err
	}
	return fmt.Errorf("%w: %w", errMaybeDone, err)
}

// answered reports whether an error is the daemon's own answer, or the last that can be had.
func answered(err error) bool {
	for _, known := range []error{rpc.ErrNotFound, rpc.ErrBadRequest, rpc.ErrNotRunning, rpc.ErrNoLog, errMaybeDone} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
