package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
)

// RemoveGroup makes a group's processes stop and forgets them: programs that are in no other group, and from the others
// this group. Whose source they are does not matter. Their processes end after this returns. A group that is not there is
// ErrNotFound.
func (c *Client) RemoveGroup(ctx context.Context, group string) error {
	found := false
	for {
		snap, err := c.Snapshot(ctx)
		if err != nil {
			return err
		}
		programs := snap.Programs()
		at := slices.IndexFunc(programs, func(p ProgramState) bool {
			return slices.ContainsFunc(p.GroupList(), func(g api.Group) bool { return g.Name == group })
		})
		switch {
		case at < 0 && !found:
			return notFound("group", group)
		case at < 0:
			return nil
		}
		found = true
		p := programs[at]
		if len(p.GroupList()) == 1 {
			_, err = c.Remove(ctx, p.ID)
		} else {
			err = c.leaveGroup(ctx, p.Source, p.Name, group)
		}
		// Somebody else may be changing the same: what is left is found again.
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrStale) {
			return fmt.Errorf("group %s: %w", group, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// leaveGroup takes a program out of one of its groups.
func (c *Client) leaveGroup(ctx context.Context, source, program, group string) error {
	have, err := c.SourcePrograms(ctx, source)
	if err != nil {
		return err
	}
	for i := range have {
		if have[i].Name == program {
			have[i].Groups = slices.DeleteFunc(slices.Clone(have[i].Groups), func(g api.Group) bool { return g.Name == group })
		}
	}
	plan, err := c.PlanLoad(ctx, source, have)
	if err != nil {
		return err
	}
	return c.Load(ctx, plan)
}

// SourcePrograms are the programs of one source, by name.
func (c *Client) SourcePrograms(ctx context.Context, source string) ([]api.Program, error) {
	all, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []api.Program
	for _, p := range all {
		if p.Source == source {
			out = append(out, p.Program)
		}
	}
	return out, nil
}
