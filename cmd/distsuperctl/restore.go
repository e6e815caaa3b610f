package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/backup"
	"github.com/distsuper/distsuper/store/recovery"
)

func newRestore(c *ctl) *cobra.Command {
	var o acceptOptions
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "put back what backup saved, into any etcd, while the fleet runs",
		Long: `restore puts back what backup saved: programs, what was wanted of them, and cordons are as they were then, and what else
there is of these now is removed. What is known of machines and of runs is put back only where etcd knows nothing of it. What
runs and is still wanted goes on.

It works with every etcd, also with one that is empty, and with one that the daemons refuse, since it was wiped or restored
from a snapshot: then it does what init db --after-restore does, too, and every daemon goes on with it. It says what it would
change, and asks. A file that is damaged changes nothing.

Where every member of distsuperd's own etcd has lost its data, run it on the host of one of them, while distsuperd runs there: it makes
a new etcd on this host first, and the others join that by themselves. It refuses as long as a member answers, which has more than
any backup: members recover goes on with that one.`,
		Example: "  distsuperctl restore fleet.backup", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readBackup(args[0])
			if err != nil {
				return err
			}
			anew, err := c.beginAnew(cmd, o.yes)
			if err != nil {
				return err
			}
			if !anew {
				err = c.ensureEtcd(cmd)
			}
			if err == nil {
				err = c.connect(cmd)
			}
			if err != nil {
				return err
			}
			o.yes = o.yes || anew // it was asked already
			return runRestore(cmd.Context(), c, o, b)
		},
	}
	cmd.Flags().StringSliceVar(&o.off, "off", nil, "these machines do not answer, and you have made sure that they are off")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func readBackup(name string) (*backup.Backup, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := backup.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; nothing was changed", name, err)
	}
	return b, nil
}

func runRestore(ctx context.Context, c *ctl, o acceptOptions, b *backup.Backup) error {
	if err := c.notSolo("restore"); err != nil {
		return err
	}
	now, err := store.ReadPages(ctx, c.kv, store.Range{Span: store.Below(c.keys.Root()), Limit: 1000})
	if err != nil {
		return err
	}
	plan, err := backup.NewPlan(b, c.keys, now.Entries)
	if err != nil {
		return err
	}
	c.printf("the backup of %s, made %s by %s\n", b.Prefix, b.At.Local().Format(time.DateTime), b.By)
	c.showRestore(plan)
	acceptance, err := c.acceptanceFor(ctx, plan, b)
	if err != nil {
		return err
	}
	if plan.Empty() && acceptance == nil {
		return c.restored(plan, nil)
	}
	if acceptance != nil {
		if err := acceptance.Vouched(o.off); err != nil {
			return orOff(err)
		}
		acceptance.Unknown = slices.DeleteFunc(acceptance.Unknown, askedFor(b))
		c.showPlan(*acceptance)
	}
	if err := c.confirm(o.yes, "Restore this into "+c.keys.Root()+"?"); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	accepted, err := c.restore(ctx, plan, acceptance != nil, o.off)
	if err == nil && accepted != nil {
		c.printf("accepted; tokens go on from %d\n", accepted.Floor)
		err = c.awaitDaemons(ctx)
	}
	if err != nil {
		return err
	}
	return c.restored(plan, accepted)
}

// acceptanceFor says what accepting the store comes to that is restored into, nil where every daemon believes it already.
func (c *ctl) acceptanceFor(ctx context.Context, plan *backup.Plan, b *backup.Backup) (*recovery.Plan, error) {
	p, err := recovery.Look(ctx, c.recovering())
	if err != nil {
		return nil, err
	}
	if !plan.Fresh && len(p.Machines)+len(p.Daemons) == 0 && p.Floor-recovery.Slack >= b.Tokens {
		return nil, nil
	}
	p, err = c.awaitReports(ctx)
	for _, m := range plan.Machines(c.keys) {
		if !slices.Contains(p.Machines, m) {
			p.Silent = append(p.Silent, m)
		}
	}
	return &p, err
}

// restore carries the plan out, and accepts the store if that is asked for, while nobody leads.
func (c *ctl) restore(ctx context.Context, plan *backup.Plan, accept bool, off []string) (*recovery.Plan, error) {
	unfence, err := recovery.Fence(ctx, c.recovering())
	if err != nil {
		return nil, err
	}
	defer unfence()
	said := time.Now()
	err = backup.Restore(ctx, c.kv, c.keys, plan, func(done, of int) {
		if done == of || time.Since(said) > time.Second {
			said = time.Now()
			c.progress("restored %d of %d keys", done, of)
		}
	})
	if err != nil || !accept {
		return nil, err
	}
	accepted, err := recovery.Accept(ctx, c.recovering(off...))
	return &accepted, orOff(err)
}

// showRestore says what a restore changes.
func (c *ctl) showRestore(p *backup.Plan) {
	for _, s := range []struct {
		sign  string
		names []string
	}{{"+", p.Added}, {"~", p.Changed}, {"-", p.Removed}} {
		for _, name := range s.names {
			c.printf("%s %s\n", s.sign, name)
		}
	}
	c.printf("%s added, %d changed, %d removed\n", plural(len(p.Added), "program"), len(p.Changed), len(p.Removed))
	if p.Intents > 0 {
		c.printf("%s with another wanted state than now\n", plural(p.Intents, "process"))
	}
	if p.Cordons > 0 {
		c.printf("%s put back or removed\n", plural(p.Cordons, "cordon"))
	}
	if p.Known > 0 {
		c.printf("%s about machines and runs put back, since etcd has lost them\n", plural(p.Known, "record"))
	}
}

// restored reports the end.
func (c *ctl) restored(p *backup.Plan, accepted *recovery.Plan) error {
	if c.json {
		return printJSON(c.out, map[string]any{"added": append([]string{}, p.Added...), "changed": append([]string{}, p.Changed...), "removed": append([]string{}, p.Removed...),
			"wanted": p.Intents, "cordons": p.Cordons, "known": p.Known, "accepted": accepted})
	}
	if p.Empty() && accepted == nil {
		c.printf("nothing to restore: everything is already there\n")
		return nil
	}
	c.printf("restored\n")
	return nil
}

// askedFor tells of which processes a backup's programs ask for.
func askedFor(b *backup.Backup) func(process string) bool {
	asked := map[string]bool{}
	for _, e := range b.Entries {
		if !strings.HasPrefix(e.Key, b.Prefix+"programs/") {
			continue
		}
		program, err := store.Decode[api.Program](e)
		if err != nil {
			continue
		}
		processes, err := spec.Processes(program)
		for _, p := range processes {
			asked[p.ID()] = err == nil
		}
	}
	return func(process string) bool { return asked[process] }
}
