package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/backup"
)

func newBackup(c *ctl) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "save programs, what is wanted of them, and what is known about machines",
		Long: `backup saves the key space as a file of readable lines, while the fleet runs. It has everything that stands in etcd for
good, so not the history. Programs can have secrets in their environment, and the fleet's signing key is in there, too: the
file is readable by its owner only, and opens the whole fleet.`,
		Example: "  distsuperctl backup fleet.backup", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runBackup(cmd.Context(), c, args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite an existing file")
	return cmd
}

// backupRow is the JSON of a file that was written.
type backupRow struct {
	File     string `json:"file"`
	Keys     int    `json:"keys"`
	Programs int    `json:"programs"`
	Bytes    int64  `json:"bytes"`
	Revision int64  `json:"revision"`
}

func runBackup(ctx context.Context, c *ctl, name string, force bool) error {
	if err := c.notSolo("backup"); err != nil {
		return err
	}
	if _, err := os.Lstat(name); err == nil && !force {
		return fmt.Errorf("%s already exists; --force overwrites it", name)
	}
	b, err := backup.Take(ctx, c.kv, c.keys, c.who, time.Now())
	if err != nil {
		return err
	}
	size, err := writeWhole(name, force, b.Write)
	if err != nil {
		return err
	}
	row := backupRow{File: name, Keys: len(b.Entries), Bytes: size, Revision: b.Rev}
	for _, e := range b.Entries {
		if n, err := c.keys.Parse(e.Key); err == nil && n.Kind == store.KindProgram {
			row.Programs++
		}
	}
	if c.json {
		return printJSON(c.out, row)
	}
	c.printf("wrote %s: %s in %d keys, %d bytes, as of revision %d; keep it private\n", name, plural(row.Programs, "program"), row.Keys, size, b.Rev)
	return nil
}
