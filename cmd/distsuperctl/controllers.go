package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newControllers(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use: "controllers", Short: "show the controllers, and which of them leads",
		Long: `controllers shows every distsuperd that has run here: whether it is a candidate now, and which one leads. Only the
leader decides, but all of them answer requests.`,
		Example: "  distsuperctl controllers", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runControllers(cmd.Context(), c)
		},
	}
}

// controllerRow is the JSON of a controller.
type controllerRow struct {
	ID      string `json:"id"`
	Role    string `json:"role"` // leader, standby, or gone: it does not stand for election
	Host    string `json:"host"`
	HTTP    string `json:"http"`
	Version string `json:"version"`
}

func runControllers(ctx context.Context, c *ctl) error {
	known, err := c.controllers(ctx)
	if err != nil {
		return err
	}
	leader, candidacy, err := c.election(ctx)
	if err != nil {
		return err
	}
	list, rows := []controllerRow{}, [][]string{}
	for _, d := range known {
		r := controllerRow{ID: d.ID, Role: "gone", Host: d.Host, HTTP: d.HTTP, Version: d.Version}
		switch {
		case d.ID == leader:
			r.Role = "leader"
		case candidacy[d.ID] != 0:
			r.Role = "standby"
		}
		list, rows = append(list, r), append(rows, []string{r.ID, r.Role, r.Host, orDash(r.HTTP), r.Version})
	}
	if c.json {
		return printJSON(c.out, list)
	}
	if len(rows) > 0 {
		if err := table(c.out, []string{"CONTROLLER", "ROLE", "HOST", "HTTP", "VERSION"}, rows); err != nil {
			return err
		}
	}
	if leader == "" {
		c.warnf("distsuperctl: nobody leads%s: nothing is placed or moved until a distsuperd runs (distsuperd start)", c.ledLast(ctx, known))
	}
	return nil
}
