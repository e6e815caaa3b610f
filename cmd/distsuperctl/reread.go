package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
)

func newReread(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "reread",
		Short: "show which groups of the configuration have changed",
		Long: `reread reads the configuration and shows which groups are new (available), changed, or gone (disappeared). It changes
nothing: update applies everything, add and remove apply single groups, and load --dry-run shows what would happen to
each process. On a fleet it compares the file that distsuperctl is given with the loaded programs of its source;
distsuperd solo reads its own file.`,
		Example: "  distsuperctl reread && distsuperctl update\n  distsuperctl reread -c fleet.ini --json",
		RunE:    c.withPrograms(runReread),
	}
}

// withPrograms makes a command without arguments of what is done with the programs of the configuration.
func (c *ctl) withPrograms(do func(context.Context, *ctl, []api.Program) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return c.rejectArguments(cmd)
		}
		want, err := c.readWanted(cmd)
		if err != nil {
			return c.cantReread(err)
		}
		return do(cmd.Context(), c, want)
	}
}

// groupChange is the JSON of a group that differs.
type groupChange struct {
	Group  string `json:"group"`
	Change string `json:"change"` // "available", "changed" or "disappeared"
}

func runReread(ctx context.Context, c *ctl, want []api.Program) error {
	diff, err := c.control().Reread(ctx, c.source(), want)
	if err != nil {
		return err
	}
	list := []groupChange{}
	for _, part := range []struct {
		groups []string
		change string
	}{{diff.Added, "available"}, {diff.Changed, "changed"}, {diff.Removed, "disappeared"}} {
		for _, g := range part.groups {
			list = append(list, groupChange{g, part.change})
		}
	}
	slices.SortFunc(list, func(a, b groupChange) int { return cmp.Compare(a.Group, b.Group) })
	if c.json {
		return printJSON(c.out, list)
	}
	for _, g := range list {
		c.printf("%s: %s\n", g.Group, g.Change)
	}
	if len(list) == 0 {
		c.printf("No config updates to processes\n")
	}
	return nil
}

func newAvail(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "avail",
		Short: "show the processes of the configuration, and whether they are loaded",
		Long: `avail shows every process in the configuration: whether its group is loaded (in use) or could be added (avail), whether
it starts by itself (auto) or by hand (manual), and the priorities of its group and its own. It reads the same
configuration as reread.`,
		Example: "  distsuperctl avail\n  distsuperctl avail --json",
		RunE:    c.withPrograms(runAvail),
	}
}

// availRow is the JSON of a process that the configuration asks for.
type availRow struct {
	Name          string `json:"name"`
	Group         string `json:"group"`
	Program       string `json:"program"`
	InUse         bool   `json:"in_use"`
	Autostart     bool   `json:"autostart"`
	GroupPriority int    `json:"group_priority"`
	Priority      int    `json:"priority"`
}

func runAvail(ctx context.Context, c *ctl, want []api.Program) error {
	all, err := c.control().Available(ctx, want)
	if err != nil {
		return err
	}
	list := []availRow{}
	for _, a := range all {
		list = append(list, availRow{a.ID(), a.Group, a.Program, a.InUse, a.Autostart, a.GroupPriority, a.Priority})
	}
	if c.json {
		return printJSON(c.out, list)
	}
	for _, r := range list {
		use, start := "avail", "manual"
		if r.InUse {
			use = "in use"
		}
		if r.Autostart {
			start = "auto"
		}
		c.printf("%-32s %-9s %-9s %d:%d\n", r.Name, use, start, r.GroupPriority, r.Priority)
	}
	return nil
}
