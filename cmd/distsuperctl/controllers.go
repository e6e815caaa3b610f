package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
)

func newControllers(c *ctl) *cobra.Command {
	cmd := &cobra.Command{
		Use: "controllers", Short: "show the controllers, and which of them leads",
		Long: `controllers shows every distsuperd that has run here: whether it is a candidate now, and which one leads. Only the
leader decides, but all of them answer requests.

A machine that does not reach etcd goes on while every controller promises not to start its processes elsewhere. So a
controller moves them only as a member: when no machine goes on without asking it, too. MEMBER says whether it is one, or
until when a new one waits at most. A few seconds after an older member has acknowledged it, it is one; without any other
member it waits for [distsuperd] max_hold and a little more.`,
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
	var off bool
	cmd := &cobra.Command{
		Use: "forget ID", Short: "remove what is known about a controller that has ended for good",
		Long: `forget takes a controller off the list: nobody trusts its certificate, and no machine asks it for promises any more. It refuses
while the controller stands for election, and for the last one while machines are live. A controller that comes back
registers itself again, as a new one. The leader forgets by itself whoever was silent for an hour.

With --dead you vouch that the controller is off, and does not start again before it reaches etcd. A new controller that waits
until no machine counts on promises without it (distsuperctl controllers) waits a few seconds only after that.`,
		Example: "  distsuperctl controllers forget d3\n  distsuperctl controllers forget --dead d1", Args: usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runControllerForget(cmd.Context(), c, args[0], off)
		},
	}
	cmd.Flags().BoolVar(&off, "dead", false, "you have made sure that the controller is off, and does not come back")
	return cmd
}

func runControllerForget(ctx context.Context, c *ctl, id string, off bool) error {
	err := c.client.ForgetController(ctx, id, off)
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
	// Member: it may move what machines could hold by promise. A new one waits until WaitsUntil at most.
	Member     bool      `json:"member"`
	WaitsUntil time.Time `json:"waits_until,omitzero"`
}

// memberText is a cell of the table.
func memberText(d api.Controller) string {
	switch {
	case d.Member:
		return "yes"
	case d.Incarnation == "":
		return "no (older version)"
	}
	return "by " + d.WaitsUntil.Local().Format("15:04:05")
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
		r := controllerRow{ID: d.ID, Role: "gone", Host: d.Host, HTTP: d.HTTP, Version: d.Version, Member: d.Member, WaitsUntil: d.WaitsUntil}
		switch {
		case d.ID == leader:
			r.Role = "leader"
		case candidacy[d.ID] != 0:
			r.Role = "standby"
		}
		list, rows = append(list, r), append(rows, []string{r.ID, r.Role, memberText(d), r.Host, orDash(r.HTTP), r.Version})
	}
	if c.json {
		return printJSON(c.out, list)
	}
	if len(rows) > 0 {
		if err := table(c.out, []string{"CONTROLLER", "ROLE", "MEMBER", "HOST", "HTTP", "VERSION"}, rows); err != nil {
			return err
		}
	}
	c.warnOfNewcomers(known, list)
	if leader == "" {
		c.warnf("distsuperctl: nobody leads%s: nothing is placed or moved until a distsuperd runs (distsuperd start)", c.ledLast(ctx, known))
	}
	return nil
}

// warnOfNewcomers says what a controller waits for that is new, when those are gone who could vouch for it, and what shortens that.
func (c *ctl) warnOfNewcomers(known []api.Controller, rows []controllerRow) {
	for i, d := range known {
		if d.Member || d.Incarnation == "" || !time.Now().Before(d.WaitsUntil) {
			continue
		}
		for j, o := range known {
			if i != j && o.Member && rows[j].Role == "gone" {
				c.warnf("distsuperctl: %s is new, and starts nothing elsewhere whose lease has expired until %s, since machines may go on by a promise of %s; "+
					"when that is off for good, run distsuperctl controllers forget --dead %s, and it waits a few seconds only", d.ID, d.WaitsUntil.Local().Format("15:04:05"), o.ID, o.ID)
			}
		}
	}
}
