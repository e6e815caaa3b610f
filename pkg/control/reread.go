package control

import (
	"cmp"
	"context"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
)

// Reread compares the groups of a source that are in force with those that are wanted.
func (c *Control) Reread(ctx context.Context, source string, want []api.Program) (GroupChanges, error) {
	have, err := c.client.SourcePrograms(ctx, source)
	if err != nil {
		return GroupChanges{}, err
	}
	return DiffGroups(have, want), nil
}

// Available is a process that the configuration asks for.
type Available struct {
	api.Process
	Autostart bool
	InUse     bool // its group is in force
}

// Available are the processes that are wanted, in supervisor's order: the process's own name counts first.
func (c *Control) Available(ctx context.Context, want []api.Program) ([]Available, error) {
	active, err := c.activeGroups(ctx)
	if err != nil {
		return nil, err
	}
	var out []Available
	for _, p := range want {
		processes, err := spec.Processes(p)
		if err != nil {
			return nil, err
		}
		for _, proc := range processes {
			out = append(out, Available{proc, p.Autostart, slices.Contains(active, proc.Group)})
		}
	}
	slices.SortFunc(out, func(a, b Available) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Process.Compare(b.Process))
	})
	return out, nil
}

// activeGroups are the groups in force, of every source.
func (c *Control) activeGroups(ctx context.Context) ([]string, error) {
	programs, err := c.client.List(ctx)
	if err != nil {
		return nil, err
	}
	return groupNames(programs), nil
}
