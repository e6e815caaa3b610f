package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/view"
)

// request is something that is asked of a process: what history calls it, and how it changes the intent. needsProgram is
// for what a process that is being removed cannot do any more.
type request struct {
	what         string
	why          string
	next         func(processState) (api.Intent, bool)
	needsProgram bool
	// forgets: without an intent a process does not run either, so a full etcd, which only deletes, can still be asked for it.
	forgets bool
}

var (
	startRequest   = request{what: "start asked", next: processState.start, needsProgram: true}
	stopRequest    = request{what: "stop asked", next: processState.stop, forgets: true}
	restartRequest = request{what: "restart asked", next: processState.restart, needsProgram: true}
)

func moveRequest(to string) request {
	r := request{what: "move asked", needsProgram: true, next: func(s processState) (api.Intent, bool) { return s.move(to) }}
	if to != "" {
		r.why = "to " + to
	}
	return r
}

// target is a process of a program; created is the program's create revision.
type target struct {
	process string
	program string
	created int64
}

// atOnce is how many processes one transaction changes: two operations and three compares each.
const atOnce = 30

// ask makes one request of several processes, some at a time, and names those whose intent it changed; changes are those of
// the intents. A process whose program is gone or was made anew is ErrNotFound. from is what was seen of them, and nil when
// nothing was.
func (c *Client) ask(ctx context.Context, r request, targets []target, from *view.View) (changed []string, changes []store.Change, err error) {
	for part := range slices.Chunk(targets, atOnce) {
		look := func(ctx context.Context) ([]seen, error) { return c.look(ctx, part) }
		if from != nil {
			first := look
			look = func(context.Context) ([]seen, error) {
				look = first // what was seen is tried once
				return c.seenIn(from, part)
			}
		}
		did, err := c.change(ctx, func(ctx context.Context) (draft, error) {
			all, err := look(ctx)
			if err != nil {
				return draft{}, err
			}
			return c.draftRequest(r, part, all)
		})
		if err != nil {
			return changed, changes, err
		}
		if did != nil {
			changed, changes = append(changed, did.names...), append(changes, did.changes(did.rev)...)
		}
	}
	return changed, changes, nil
}

// draftRequest drafts the change of those processes that the request changes.
func (c *Client) draftRequest(r request, targets []target, all []seen) (d draft, err error) {
	for i, t := range targets {
		s := all[i]
		if s.created == 0 || s.created != t.created {
			return d, notFound("program", t.program)
		}
		intent, changes := r.next(s.processState)
		if !changes {
			continue
		}
		intent.By, intent.At = c.who, c.wall()
		if !hasCompare(d, c.keys.Program(t.program)) {
			d.compare(store.Created(c.keys.Program(t.program), t.created))
		}
		d.compare(store.Unchanged(c.keys.Intent(t.process), s.intentRev), store.Unchanged(c.keys.Owner(t.process), s.ownerRev))
		d.do(store.Put(c.keys.Intent(t.process), store.Encode(intent)))
		if r.forgets {
			d.whenFull = append(d.whenFull, store.Delete(c.keys.Intent(t.process)))
		}
		d.record(api.HistoryEntry{Process: t.process, What: r.what, Why: r.why})
		d.names = append(d.names, t.process)
	}
	return d, nil
}

func hasCompare(d draft, key string) bool {
	return slices.ContainsFunc(d.cmps, func(c store.Cmp) bool { return c.Key == key })
}

// seen is a processState with the revisions at which it was seen.
type seen struct {
	processState
	created             int64 // when its program was, 0 when there is none
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
		s.intentRev, s.ownerRev = revOf(intent), revOf(owner)
		if program := got[3*i]; program != nil {
			s.created = program.CreateRev
		}
		if s.intent, err = decode[api.Intent](intent); err != nil {
			s.damaged = true
		}
		if s.owner, err = decode[api.Owner](owner); err != nil {
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
		if s := &out[of[j]]; err == nil && status != nil && status.Token == s.owner.Token {
			s.status = status
		}
	}
	return out, nil
}

// seenIn is look in a view.
func (c *Client) seenIn(v *view.View, targets []target) ([]seen, error) {
	out := make([]seen, len(targets))
	for i, t := range targets {
		s, p := &out[i], v.Process(t.process)
		if program := v.Program(t.program); program != nil && program.Object != nil {
			s.created = program.Object.Created
		}
		if p == nil {
			continue
		}
		if b := view.BrokenAt(p.Broken, c.keys.Owner(p.ID)); b != nil {
			return nil, errors.New(b.Why)
		}
		s.intent, s.owner = value(p.Intent), value(p.Owner)
		if p.Intent != nil {
			s.intentRev = p.Intent.Rev
		}
		if b := view.BrokenAt(p.Broken, c.keys.Intent(p.ID)); b != nil {
			s.damaged, s.intentRev = true, b.Rev
		}
		if p.Owner == nil {
			continue
		}
		s.ownerRev = p.Owner.Rev
		if status := p.On(s.owner.Machine).Status; status != nil && status.Value.Token == s.owner.Token {
			s.status = &status.Value
		}
	}
	return out, nil
}

// StartProcess, StopProcess and RestartProcess are Start, Stop and Restart of one process, named "group:name" or
// just "name" where both are equal. Of one that is being removed a stop changes nothing, and anything else is ErrRefused.
func (c *Client) StartProcess(ctx context.Context, process string) (changed bool, err error) {
	return c.askOne(ctx, startRequest, process)
}

// StopProcess: see StartProcess.
func (c *Client) StopProcess(ctx context.Context, process string) (changed bool, err error) {
	return c.askOne(ctx, stopRequest, process)
}

// RestartProcess: see StartProcess.
func (c *Client) RestartProcess(ctx context.Context, process string) (changed bool, err error) {
	return c.askOne(ctx, restartRequest, process)
}

// MoveProcess asks that a process go to a machine, or with to "" to any other than the present one. It does not
// say whether that is possible: the owner's reason does, once its Moves is the intent's.
func (c *Client) MoveProcess(ctx context.Context, process, to string) error {
	_, err := c.askOne(ctx, moveRequest(to), process)
	return err
}

func (c *Client) askOne(ctx context.Context, r request, process string) (bool, error) {
	changed, err := c.askNamed(ctx, r, []string{process})
	return len(changed) > 0, err
}

// StartProcesses, StopProcesses and RestartProcesses do it for several and name those that it changed. Each process is
// changed or not; after an error some may have been.
func (c *Client) StartProcesses(ctx context.Context, processes []string) (changed []string, err error) {
	return c.askNamed(ctx, startRequest, processes)
}

// StopProcesses: see StartProcesses.
func (c *Client) StopProcesses(ctx context.Context, processes []string) (changed []string, err error) {
	return c.askNamed(ctx, stopRequest, processes)
}

// RestartProcesses: see StartProcesses.
func (c *Client) RestartProcesses(ctx context.Context, processes []string) (changed []string, err error) {
	return c.askNamed(ctx, restartRequest, processes)
}

func (c *Client) askNamed(ctx context.Context, r request, processes []string) ([]string, error) {
	if len(processes) == 0 {
		return nil, nil
	}
	snap, err := c.lookFor(ctx, processes)
	if err != nil {
		return nil, err
	}
	changed, _, err := c.askFrom(ctx, r, snap, processes)
	return changed, err
}

// StartFrom, StopFrom and RestartFrom are StartProcesses, StopProcesses and RestartProcesses of processes as they were
// seen: what was read is not read again, but where it turns out to be old. After is what was seen with what is wanted now:
// WatchFrom it tells what becomes of that.
func (c *Client) StartFrom(ctx context.Context, seen *Snapshot, processes []string) (changed []string, after *Snapshot, err error) {
	return c.askFrom(ctx, startRequest, seen, processes)
}

// StopFrom: see StartFrom.
func (c *Client) StopFrom(ctx context.Context, seen *Snapshot, processes []string) (changed []string, after *Snapshot, err error) {
	return c.askFrom(ctx, stopRequest, seen, processes)
}

// RestartFrom: see StartFrom.
func (c *Client) RestartFrom(ctx context.Context, seen *Snapshot, processes []string) (changed []string, after *Snapshot, err error) {
	return c.askFrom(ctx, restartRequest, seen, processes)
}

func (c *Client) askFrom(ctx context.Context, r request, seen *Snapshot, processes []string) (changed []string, after *Snapshot, err error) {
	var targets []target
	for _, name := range processes {
		p := seen.view.Process(name)
		switch {
		case p == nil || !seen.shows(p):
			return nil, nil, notFound("process", name)
		case seen.damagedProgram(p) != nil:
			return nil, nil, fmt.Errorf("%w: the program of %s cannot be read: %s", ErrRefused, name, seen.damagedProgram(p).why)
		case p.Spec == nil && r.needsProgram:
			return nil, nil, fmt.Errorf("%w: process %s is being removed, since no program asks for it any more", ErrRefused, name)
		case p.Spec == nil:
			continue // it is stopping already
		}
		targets = append(targets, target{process: name, program: p.Program.Name, created: p.Program.Object.Created})
	}
	changed, changes, err := c.ask(ctx, r, targets, seen.view)
	v, _ := seen.view.Apply(seen.view.Rev, changes)
	return changed, newSnapshot(v, c.wall(), seen.only, seen.again), err
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
		if err == nil || !errors.Is(err, store.ErrUnavailable) || !c.sleep(ctx, again) {
			return err
		}
	}
}
