package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
)

// Create makes a program and returns its id. Its processes run when Autostart is true. Begin with Program, which
// sets the defaults: a zero Numprocs is refused. Errors: ErrExists, *spec.FieldError,
// *spec.ConflictError (a process of that name is another program's), ErrUnavailable.
func (c *Client) Create(ctx context.Context, p api.Program) (id string, err error) {
	p.Source = api.SourceAPI
	p = spec.Normalize(p)
	if p.Numprocs == 0 {
		return "", &spec.FieldError{Field: "numprocs", Value: "0", Reason: "0 asks for no process; begin with client.Program, which sets the defaults"}
	}
	if err := spec.Validate(p); err != nil {
		return "", err
	}
	processes, err := spec.Processes(p)
	if err != nil {
		return "", err
	}
	what := "create program " + p.Name
	// Processes beyond one transaction get their intents first: without the program nobody acts on them.
	early, late := processes[:0:0], processes
	if n := len(processes) - atOnce; n > 0 {
		early, late = processes[:n], processes[n:]
	}
	for part := range slices.Chunk(early, atOnce) {
		if _, err := c.change(ctx, func(ctx context.Context) (draft, error) {
			return c.draftCreate(ctx, p, part)
		}); err != nil {
			return "", fmt.Errorf("%s: %w", what, err)
		}
	}
	did, err := c.change(ctx, func(ctx context.Context) (draft, error) {
		d, err := c.draftCreate(ctx, p, late)
		d.do(store.Put(c.keys.Program(p.Name), store.Encode(p)))
		return d, err
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return ID(p.Name, did.rev), nil
}

// draftCreate makes the first intents of some processes of a program that does not exist yet.
func (c *Client) draftCreate(ctx context.Context, p api.Program, processes []api.Process) (d draft, err error) {
	list, _, broken, err := c.programs(ctx)
	if err != nil {
		return d, err
	}
	all := make([]api.Program, 0, len(list)+1)
	for _, s := range list {
		if s.Name == p.Name {
			return d, fmt.Errorf("program %s of source %q: %w", p.Name, s.Source, ErrExists)
		}
		all = append(all, s.Program)
	}
	if why, ok := broken[p.Name]; ok {
		return d, fmt.Errorf("program %s, which cannot be read (%s): %w", p.Name, why, ErrExists)
	}
	if err := spec.Conflict(append(all, p)); err != nil {
		return d, err
	}
	d.compare(store.Absent(c.keys.Program(p.Name)))
	ids := make([]string, len(processes))
	for i, proc := range processes {
		ids[i] = proc.ID()
	}
	seen, err := c.look(ctx, processTargets(ids))
	if err != nil {
		return d, err
	}
	for i, id := range ids {
		c.draftFirst(&d, id, "program "+p.Name+" of source "+p.Source, p.Autostart, seen[i])
	}
	return d, nil
}

// draftFirst makes the first intent of a process. With autostart it is to run; otherwise there is none, and what
// an earlier program of the name left goes.
func (c *Client) draftFirst(d *draft, id, from string, autostart bool, s seen) {
	key := c.keys.Intent(id)
	d.compare(store.Unchanged(key, s.intentRev))
	entry := api.HistoryEntry{Process: id, What: "added", Why: from}
	switch {
	case autostart:
		intent := s.next(api.WantRun, s.restarts()+1)
		intent.By, intent.At = c.who, c.wall()
		d.do(store.Put(key, store.Encode(intent)))
		entry.Why += ", to be started"
	case s.intent != nil:
		d.do(store.Delete(key))
	}
	d.record(entry)
}

// Start makes every process of a program run. It changes nothing of those that are wanted and have not ended.
func (c *Client) Start(ctx context.Context, ref string) (changed bool, err error) {
	return c.askAll(ctx, startRequest, "start", ref)
}

// Stop makes every process of a program stop.
func (c *Client) Stop(ctx context.Context, ref string) (changed bool, err error) {
	return c.askAll(ctx, stopRequest, "stop", ref)
}

// Restart makes another run of every process of a program, also of those that are stopped. It changes nothing of
// those whose last start or restart has not been answered yet.
func (c *Client) Restart(ctx context.Context, ref string) (changed bool, err error) {
	return c.askAll(ctx, restartRequest, "restart", ref)
}

func (c *Client) askAll(ctx context.Context, r request, verb, ref string) (bool, error) {
	var s stored
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		s, err = c.program(ctx, ref)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", verb, err)
	}
	changed, _, err := c.ask(ctx, r, s.targets(), nil)
	if err != nil {
		return len(changed) > 0, fmt.Errorf("%s %s: %w", verb, ref, err)
	}
	return len(changed) > 0, nil
}

// Remove stops a program's processes and forgets it. Its processes end after this returns; the leader
// then removes what is left of them. A program that is not there is ErrNotFound.
func (c *Client) Remove(ctx context.Context, ref string) (changed bool, err error) {
	var s stored
	err = c.retry(ctx, func(ctx context.Context) (err error) {
		s, err = c.program(ctx, ref)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove: %w", err)
	}
	// Beyond one transaction the program goes last: a repeated Remove finds what is left.
	early, late := s.processes[:0:0], s.processes
	if n := len(s.processes) - atOnce; n > 0 {
		early, late = s.processes[:n], s.processes[n:]
	}
	for part := range slices.Chunk(early, atOnce) {
		if _, err := c.change(ctx, func(context.Context) (draft, error) { return c.draftRemove(s, part), nil }); err != nil {
			return false, fmt.Errorf("remove %s: %w", ref, err)
		}
	}
	did, err := c.change(ctx, func(ctx context.Context) (draft, error) {
		now, err := c.program(ctx, ID(s.Name, s.createRev))
		if err != nil {
			return draft{}, err
		}
		if now.modRev != s.modRev {
			return draft{}, fmt.Errorf("%w: it was changed meanwhile; try again", ErrRefused)
		}
		d := c.draftRemove(s, late)
		d.compare(store.Unchanged(c.keys.Program(s.Name), s.modRev))
		d.do(store.Delete(c.keys.Program(s.Name)))
		return d, nil
	})
	if err != nil {
		return false, fmt.Errorf("remove %s: %w", ref, err)
	}
	return did != nil, nil
}

func (c *Client) draftRemove(s stored, processes []api.Process) (d draft) {
	d.compare(store.Created(c.keys.Program(s.Name), s.createRev))
	for _, p := range processes {
		d.do(store.Delete(c.keys.Intent(p.ID())))
		d.record(api.HistoryEntry{Process: p.ID(), What: "removed", Why: "program " + s.Name + " was removed"})
	}
	if len(processes) == 0 { // even then there is a receipt
		d.record(api.HistoryEntry{Process: s.Name, What: "removed", Why: "the program had no processes"})
	}
	return d
}

// Get reads one program with its processes.
func (c *Client) Get(ctx context.Context, ref string) (ProgramState, error) {
	snap, err := c.lookAtProgram(ctx, ref)
	if err != nil {
		return ProgramState{}, err
	}
	p, err := snap.program(ref)
	if err != nil {
		return ProgramState{}, err
	}
	return *p, nil
}

// program finds the program of a name or an id.
func (s *Snapshot) program(ref string) (*ProgramState, error) {
	name, created, err := splitRef(ref)
	if err != nil {
		return nil, err
	}
	if p := s.Program(name); p != nil && (created == 0 || p.ID == ID(name, created)) {
		return p, nil
	}
	return nil, notFound("program", ref)
}

// List reads every program with its processes, sorted by name.
func (c *Client) List(ctx context.Context) ([]ProgramState, error) {
	snap, err := c.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return snap.Programs(), nil
}

// IsInvalid reports whether an error says that a program is not as it must be.
func IsInvalid(err error) bool {
	return errors.As(err, new(*spec.FieldError)) || errors.As(err, new(*spec.ConflictError))
}
