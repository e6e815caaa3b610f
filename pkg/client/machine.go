package client

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// machine reads what is known about one machine; an unknown one is ErrNotFound.
func (c *Client) machine(ctx context.Context, name string) (*Machine, *Snapshot, error) {
	snap, err := c.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	m := snap.Machine(name)
	if m == nil {
		return nil, nil, notFound("machine", name)
	}
	return m, snap, nil
}

// Cordon keeps new processes away from a machine. It returns whether that was not so yet.
func (c *Client) Cordon(ctx context.Context, machine string) (changed bool, err error) {
	return c.cordon(ctx, machine, "cordoned", api.Cordon{})
}

// Drain cordons a machine and has its processes leave it. What no other machine can take goes on there, unless
// stopUnplaceable asks for it to be stopped. It returns whether that was not so yet.
func (c *Client) Drain(ctx context.Context, machine string, stopUnplaceable bool) (changed bool, err error) {
	return c.cordon(ctx, machine, "drain asked", api.Cordon{Drain: true, StopUnplaceable: stopUnplaceable})
}

func (c *Client) cordon(ctx context.Context, machine, what string, want api.Cordon) (changed bool, err error) {
	want.By, want.At = c.who, c.wall()
	did, err := c.change(ctx, func(ctx context.Context) (d draft, err error) {
		old, err := c.cordonOf(ctx, machine)
		if err != nil {
			return d, err
		}
		if was, err := decode[api.Cordon](old); err == nil && was != nil && was.Drain == want.Drain && was.StopUnplaceable == want.StopUnplaceable {
			return d, nil
		}
		d.compare(store.Unchanged(c.keys.Cordon(machine), revOf(old)))
		d.do(store.Put(c.keys.Cordon(machine), store.Encode(want)))
		d.record(api.HistoryEntry{Machine: machine, What: what})
		return d, nil
	})
	return did != nil, err
}

// cordonOf reads a machine's cordon, nil for none. A machine of which nothing is known is ErrNotFound.
func (c *Client) cordonOf(ctx context.Context, machine string) (*store.Entry, error) {
	keys := c.ofMachine(machine)
	got, err := c.get(ctx, keys...)
	if err == nil && len(found(got)) == 0 { // it may have touches, or placements, left
		_, _, err = c.machine(ctx, machine)
	}
	if err != nil {
		return nil, err
	}
	return got[slices.Index(keys, c.keys.Cordon(machine))], nil
}

// Uncordon takes a cordon or a drain back.
func (c *Client) Uncordon(ctx context.Context, machine string) (changed bool, err error) {
	did, err := c.change(ctx, func(ctx context.Context) (d draft, err error) {
		old, err := c.cordonOf(ctx, machine)
		if err != nil || old == nil {
			return d, err
		}
		d.compare(store.Unchanged(c.keys.Cordon(machine), old.ModRev))
		d.do(store.Delete(c.keys.Cordon(machine)))
		d.record(api.HistoryEntry{Machine: machine, What: "uncordoned"})
		return d, nil
	})
	return did != nil, err
}

// ConfirmDead notes that an operator vouches that a machine is off: what it may still run under on_partition =
// keep is taken for dead, and moves. A live machine is ErrRefused, unless it is back without knowing of earlier
// runs: those of its earlier keeper, which may still run, are what this is about then. It returns the processes that this is about; for none
// of them nothing is noted.
func (c *Client) ConfirmDead(ctx context.Context, machine string) (processes []string, err error) {
	m, snap, err := c.machine(ctx, machine)
	if err != nil {
		return nil, err
	}
	if err := c.refuses(ctx, machine); err != nil {
		return nil, err
	}
	live, instance := "", ""
	if m.Alive != nil {
		live = m.Alive.Instance
	}
	for _, p := range snap.Processes() {
		if p.Owner != nil && p.Owner.Machine == machine && p.Owner.Instance != live && mayRun(p) {
			processes, instance = append(processes, p.Name), p.Owner.Instance
		}
	}
	if m.Alive != nil && instance == "" {
		return nil, fmt.Errorf("%w: machine %s is live (%s); stop its agent, or drain it", ErrRefused, machine, m.Alive.Host)
	}
	if instance == "" {
		return nil, nil
	}
	_, err = c.change(ctx, func(ctx context.Context) (d draft, err error) {
		if live == "" { // the leader believes nobody about an instance that is live, so this is for the asker
			d.compare(store.Absent(c.keys.Alive(machine)), store.Absent(c.keys.Seen(machine)))
		}
		if err := c.stillSo(ctx, d, machine); err != nil {
			return d, err
		}
		d.do(store.Put(c.keys.Dead(machine), store.Encode(api.ConfirmDead{Instance: instance, By: c.who, At: c.wall()})))
		d.record(api.HistoryEntry{Machine: machine, What: "confirmed dead", Why: strings.Join(processes, ", ")})
		return d, nil
	})
	return processes, err
}

// stillSo looks whether a draft's compares hold: a machine that is back is no conflict to be tried again.
func (c *Client) stillSo(ctx context.Context, d draft, machine string) error {
	res, err := c.kv.Txn(ctx, store.Txn{If: d.cmps})
	if err == nil && !res.Succeeded {
		err = fmt.Errorf("%w: machine %s came back meanwhile, or was given something to do", ErrRefused, machine)
	}
	return err
}

// mayRun reports whether a process's silent machine may still run it, as far as the store tells: also a run whose touch is gone may go on
// there, kept or by promise of the controllers, and whoever forgets its status forgets that.
func mayRun(p Process) bool {
	if p.Touch != nil || p.Owner.Placed {
		return true
	}
	return p.Status != nil && !p.Status.Released
}

// Forget removes a machine that is gone for good. It is refused while the machine is live, or may still hold a
// process: what it holds has to be moved or stopped first, so that nothing forgets a copy that may run.
func (c *Client) Forget(ctx context.Context, machine string) error {
	m, snap, err := c.machine(ctx, machine)
	if err != nil {
		return err
	}
	if m.Alive != nil {
		return fmt.Errorf("%w: machine %s is live (%s); distsuperctl machines remove %s drains and stops it first", ErrRefused, machine, m.Alive.Host, machine)
	}
	if err := c.refuses(ctx, machine); err != nil {
		return err
	}
	if names := snap.MayHold(machine); len(names) > 0 {
		return fmt.Errorf("%w: machine %s may still hold %s; when it is off, run distsuperctl machines remove --dead %s",
			ErrRefused, machine, strings.Join(names, ", "), machine)
	}
	_, err = c.change(ctx, func(ctx context.Context) (d draft, err error) {
		d.compare(store.Absent(c.keys.Alive(machine)), store.Absent(c.keys.Seen(machine)), store.AbsentPrefix(c.keys.Touches(machine)), store.AbsentPrefix(c.keys.Placements(machine)))
		if err := c.stillSo(ctx, d, machine); err != nil {
			return d, err
		}
		d.do(store.DeletePrefix(c.keys.Machine(machine)))
		d.record(api.HistoryEntry{Machine: machine, What: "forgotten"})
		return d, nil
	})
	return err
}

// MayHold names the processes that are placed on a machine, or of which it may have a copy: while nothing else was placed since, its
// agent or an operator has to say that the last run is over.
func (s *Snapshot) MayHold(machine string) []string {
	m := s.Machine(machine)
	if m == nil {
		return nil
	}
	names := m.Touches()
	for _, p := range s.Processes() {
		if p.Owner != nil && p.Owner.Machine == m.Name && p.Owner.Placed {
			names = append(names, p.Name)
		}
	}
	for id := range s.view.Machine(m.Name).Processes() {
		p := s.view.Process(id)
		status := p.On(m.Name).Status
		if status == nil || p.Owner == nil || p.Owner.Value.Machine != m.Name || p.Owner.Value.Token != status.Value.Token {
			continue // of an earlier run
		}
		last := status.Value
		dead := m.Dead != nil && m.Dead.Instance == last.Instance
		if !last.Released && !dead {
			names = append(names, id)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
