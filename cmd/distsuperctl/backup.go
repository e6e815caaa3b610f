package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	size, err := writeBackup(name, b, force)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
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

// writeBackup writes a file as a whole or not at all, readable by its owner only. Without force it never replaces one.
func writeBackup(name string, b *backup.Backup, force bool) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // has mode 0600
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	err = b.Write(f)
	if err == nil {
		err = f.Sync()
	}
	if info, serr := f.Stat(); serr == nil {
		size = info.Size()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if force {
		return size, os.Rename(f.Name(), name)
	}
	if err = os.Link(f.Name(), name); errors.Is(err, fs.ErrExist) { // unlike a rename, it replaces nothing
		err = fmt.Errorf("%s already exists; --force overwrites it", name)
	}
	return size, err
}
