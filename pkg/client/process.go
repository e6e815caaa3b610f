package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// wish is something that is asked for a process: what history calls it, and how it changes the intent.
type wish struct {
	what string
	why  string
	next func(situation) (api.Intent, bool)
}

var (
	startWish   = wish{what: "start asked", next: situation.start}
	stopWish    = wish{what: "stop asked", next: situation.stop}
	restartWish = wish{what: "restart asked", next: situation.restart}
)

func moveWish(to string) wish {
	w := wish{what: "move asked", next: func(s situation) (api.Intent, bool) { return s.move(to) }}
	if to != "" {
		w.why = "to " + to
	}
	return w
}

// target is a process of a program; created is the program's create revision.
type target struct {
	process string
	program string
	created int64
}

// atOnce is how many processes one transaction changes: two operations and three compares each.
const atOnce = 30

// ask makes one wish for several processes, some at a time, and names those whose intent it changed. A process
// whose program is gone or was made anew is ErrNotFound.
func (c *Client) ask(ctx context.Context, w wish, targets []target) (changed []string, err error) {
	for part := range slices.Chunk(targets, atOnce) {
		did, err := c.change(ctx, func(ctx context.Context) (draft, error) { return c.draftWish(ctx, w, part) })
		if err != nil {
			return changed, err
		}
		if did != nil {
			changed = append(changed, did.names...)
		}
	}
	return changed, nil
}

// draftWish looks at the processes and drafts the change of those that the wish changes.
func (c *Client) draftWish(ctx context.Context, w wish, targets []target) (d draft, err error) {
	seen, err := c.look(ctx, targets)
	if err != nil {
		return d, err
	}
	for i, t := range targets {
		s := seen[i]
		if s.program == nil || s.program.CreateRev != t.created {
			return d, notFound("program", t.program)
		}
		intent, changes := w.next(s.situation)
		if !changes {
			continue
		}
		intent.By, intent.At = c.who, c.wall()
		if !hasCompare(d, c.keys.Program(t.program)) {
			d.compare(store.Created(c.keys.Program(t.program), t.created))
		}
		d.compare(store.Unchanged(c.keys.Intent(t.process), s.intentRev), store.Unchanged(c.keys.Owner(t.process), s.ownerRev))
		d.do(store.Put(c.keys.Intent(t.process), store.Encode(intent)))
		d.tell(api.HistoryEntry{Process: t.process, What: w.what, Why: w.why})
		d.names = append(d.names, t.process)
	}
	return d, nil
}

func hasCompare(d draft, key string) bool {
	return slices.ContainsFunc(d.cmps, func(c store.Cmp) bool { return c.Key == key })
}

// seen is a situation with the revisions at which it was seen.
type seen struct {
	situation
	program             *store.Entry
	intentRev, ownerRev int64
}

// look reads what decides about the processes.
func (c *Client) look(ctx context.Context, targets []target) ([]seen, error) {
	var keys []string
	for _, t := range targets {
		keys = append(keys, c.keys.Program(t.program), c.keys.Intent(t.process), c.keys.Owner(t.process))
	}
	got, err := c.get(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("read the intents: %w", err)
	}
	out := make([]seen, len(targets))
	var statuses []string
	var of []int
	for i := range targets {
		s := &out[i]
		intent, owner := got[3*i+1], got[3*i+2]
		s.program, s.intentRev, s.ownerRev = got[3*i], revOf(intent), revOf(owner)
		s.intent, err = decode[api.Intent](intent)
		if err == nil {
			s.owner, err = decode[api.Owner](owner)
		}
		if err != nil {
			return nil, err
		}
		if s.owner != nil && s.owner.Machine != "" {
			statuses, of = append(statuses, c.keys.Status(s.owner.Machine, targets[i].process)), append(of, i)
		}
	}
	if got, err = c.get(ctx, statuses...); err != nil {
		return nil, fmt.Errorf("read the statuses: %w", err)
	}
	for j, e := range got {
		status, err := decode[api.Status](e)
		if err != nil {
			return nil, err
		}
		if s := &out[of[j]]; status != nil && status.Token == s.owner.Token {
			s.status = status
		}
	}
	return out, nil
}

// StartProcess, StopProcess and RestartProcess are Start, Stop and Restart of one process, named "group:name" or
// just "name" where both are equal.
func (c *Client) StartProcess(ctx context.Context, process string) (changed bool, err error) {
	return c.askOne(ctx, startWish, process)
}

// StopProcess: see StartProcess.
func (c *Client) StopProcess(ctx context.Context, process string) (changed bool, err error) {
	return c.askOne(ctx, stopWish, process)
}

// RestartProcess: see StartProcess.
func (c *Client) RestartProcess(ctx context.Context, process string) (changed bool, err error) {
	return c.askOne(ctx, restartWish, process)
}

// MoveProcess asks that a process go to a machine, or with to "" to any other than the present one. It does not
// say whether that is possible: the owner's reason does, once its Moves is the intent's.
func (c *Client) MoveProcess(ctx context.Context, process, to string) error {
	_, err := c.askOne(ctx, moveWish(to), process)
	return err
}

func (c *Client) askOne(ctx context.Context, w wish, process string) (bool, error) {
	changed, err := c.askNamed(ctx, w, []string{process})
	return len(changed) > 0, err
}

// StartProcesses, StopProcesses and RestartProcesses do it for several and name those that it changed. Each process is
// changed or not; after an error some may have been.
func (c *Client) StartProcesses(ctx context.Context, processes []string) (changed []string, err error) {
	return c.askNamed(ctx, startWish, processes)
}

// StopProcesses: see StartProcesses.
func (c *Client) StopProcesses(ctx context.Context, processes []string) (changed []string, err error) {
	return c.askNamed(ctx, stopWish, processes)
}

// RestartProcesses: see StartProcesses.
func (c *Client) RestartProcesses(ctx context.Context, processes []string) (changed []string, err error) {
	return c.askNamed(ctx, restartWish, processes)
}

func (c *Client) askNamed(ctx context.Context, w wish, processes []string) ([]string, error) {
	var targets []target
	err := c.retry(ctx, func(ctx context.Context) error {
		list, _, _, err := c.programs(ctx)
		if err != nil {
			return err
		}
		known := map[string]target{}
		for _, s := range list {
			for _, t := range s.targets() {
				known[t.process] = t
			}
		}
		targets = targets[:0]
		for _, name := range processes {
			t, ok := known[name]
			if !ok {
				return notFound("process", name)
			}
			targets = append(targets, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, w, targets)
}

// targets are the processes of a program.
func (s stored) targets() []target {
	out := make([]target, len(s.processes))
	for i, p := range s.processes {
		out[i] = target{process: p.ID(), program: s.Name, created: s.createRev}
	}
	return out
}

// retry repeats a read while the store does not answer, at most for patience where ctx has no deadline.
func (c *Client) retry(ctx context.Context, read func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	for {
		err := read(ctx)
		if err == nil || !errors.Is(err, store.ErrUnavailable) || !sleep(ctx, again) {
			return err
		}
	}
}
