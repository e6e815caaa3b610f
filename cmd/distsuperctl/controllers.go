package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
)

func newControllers(c *ctl) *cobra.Command {
	cmd := &cobra.Command{
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
	cmd.AddCommand(newControllerForget(c))
	return cmd
}

func newControllerForget(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use: "forget ID", Short: "remove what is known about a controller that has ended for good",
		Long: `forget takes a controller off the list, and nobody trusts its certificate any more. It refuses while the controller
stands for election. A controller that comes back publishes itself again.`,
		Example: "  distsuperctl controllers forget d3", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runControllerForget(cmd.Context(), c, args[0])
		},
	}
}

func runControllerForget(ctx context.Context, c *ctl, id string) error {
	err := c.client.ForgetController(ctx, id)
	if errors.Is(err, client.ErrNotFound) {
		return noSuchController(id)
	}
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, map[string]any{"controller": id, "result": "forgotten"})
	}
	c.printf("%s: forgotten\n", id)
	return nil
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
