package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/store/etcd"
)

func newDefrag(c *ctl) *cobra.Command {
	o := struct{ timeout time.Duration }{time.Minute}
	cmd := &cobra.Command{
		Use: "defrag", Short: "free space in etcd, and clear its NOSPACE alarm",
		Long: `defrag makes room in an etcd that is full or has grown: it compacts it, so that overwritten and deleted values go,
defragments every member, and clears the NOSPACE alarm. A member answers nobody while it is defragmented, which takes a second
or so for each gigabyte; the leader is the last. Of distsuperd's own etcd all members are found; another's must all be among the
endpoints. One that does not answer is left out, and the command fails at its end: run it again when that one is back. With etcd's own
roles it needs the user root.`,
		Example: "  distsuperctl defrag", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
			defer cancel()
			return runDefrag(ctx, c)
		},
	}
	cmd.Flags().DurationVar(&o.timeout, "timeout", o.timeout, "how long it may take")
	return cmd
}

// defragRow is the JSON of a member that was defragmented.
type defragRow struct {
	Endpoint string `json:"endpoint"`
	Before   int64  `json:"bytes_before"`
	After    int64  `json:"bytes_after"`
}

func runDefrag(ctx context.Context, c *ctl) error {
	if c.opened == nil || c.deployment.oneMachine() {
		return usage(errors.New("distsuperd solo has no etcd to defragment"))
	}
	list := []defragRow{}
	err := etcd.Defrag(ctx, c.opened.store, func(d etcd.Defragmented) {
		list = append(list, defragRow{d.Endpoint, d.Before, d.After})
		c.printf("%s: %s, was %s\n", d.Endpoint, megabytes(d.After), megabytes(d.Before))
	})
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, list)
	}
	return nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
