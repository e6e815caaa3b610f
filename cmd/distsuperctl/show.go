package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/visible"
)

// hidden stands for the value of an environment variable.
const hidden = "(hidden)"

func newShow(c *ctl) *cobra.Command {
	environment := false
	cmd := &cobra.Command{
		Use:   "show [PROGRAM...]",
		Short: "show the loaded programs",
		Long: `show prints the loaded programs as sections of a file from which load would make the same ones, with their id and source. It hides
the values of environment variables unless --show-environment is given.`,
		Example: "  distsuperctl show web\n  distsuperctl show --json", ValidArgsFunction: c.completePrograms,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runShow(cmd.Context(), c, environment, args)
		},
	}
	cmd.Flags().BoolVar(&environment, "show-environment", false, "show the values of environment variables")
	return cmd
}

func runShow(ctx context.Context, c *ctl, environment bool, names []string) error {
	list := []client.ProgramState{}
	if len(names) == 0 {
		all, err := c.client.List(ctx)
		if err != nil {
			return err
		}
		list = append(list, all...)
	}
	for _, name := range names {
		p, err := c.client.Get(ctx, name)
		if err != nil {
			return err
		}
		list = append(list, p)
	}
	for i := range list {
		if !environment {
			list[i].Program = hideEnvironment(list[i].Program)
		}
	}
	if c.json {
		return printJSON(c.out, list)
	}
	for i, p := range list {
		var b bytes.Buffer
		if err := spec.Write(&b, p.Program); err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		fmt.Fprintf(c.out, "; id %s, source %s\n%s", p.ID, visible.Line(p.Source), visible.Text(b.String()))
	}
	return nil
}

func hideEnvironment(p api.Program) api.Program {
	p.Environment = maps.Clone(p.Environment)
	for name := range p.Environment {
		p.Environment[name] = hidden
	}
	return p
}
