package main

import (
	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/version"
)

func newVersion(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Long: "version prints the version of this binary.",
		Example: "  distsuperctl version",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return printJSON(c.out, map[string]any{"version": version.String(), "schema": api.SchemaVersion})
			}
			c.printf("%s\n", version.String())
			return nil
		},
	}
}
