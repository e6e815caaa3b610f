package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/visible"
	"github.com/distsuper/distsuper/store"
)

type historyOptions struct {
	follow bool
	number int
}

func (o *historyOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "keep printing new entries")
	cmd.Flags().IntVarP(&o.number, "number", "n", 50, "how many of the last entries to show; 0 means all")
}

func newHistory(c *ctl) *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:   "history [-f] [NAME|MACHINE]",
		Short: "show what happened and why",
		Long: `history shows what users, controllers and agents did, and why: for one process, for one machine and all processes on
it, or for everything. The last 100 entries of a process are kept, for a week.

The time is when a thing happened. What etcd could be told only later, as after an outage, says "told at", too.`,
		Example: "  distsuperctl history\n  distsuperctl history -f web\n  distsuperctl history m2 -n 200",
		Args:    usageArgs(cobra.MaximumNArgs(1)), ValidArgsFunction: either(c.completeProcesses, c.completeMachines),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			return runHistory(cmd.Context(), c, o, name)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runHistory(ctx context.Context, c *ctl, o historyOptions, name string) error {
	filter, err := c.historyFilter(ctx, name)
	if err != nil {
		return err
	}
	if o.follow {
		c.follows()
		return c.followHistory(ctx, o, filter)
	}
	entries, err := c.history(ctx, filter, o.number)
	if err != nil {
		return err
	}
	if len(entries) == 0 && name != "" && !filter.known {
		return fmt.Errorf("nothing is known about %s: it is neither a process nor a machine", name)
	}
	if c.json {
		return printJSON(c.out, entries)
	}
	return c.printHistory(entries)
}

// historyFilter selects entries of the history.
type historyFilter struct {
	subject store.Subject // where they are kept; "" is everywhere
	machine string        // only those of this machine
	known   bool
}

// historyFilter finds out whether a name is a process or a machine.
func (c *ctl) historyFilter(ctx context.Context, name string) (historyFilter, error) {
	if name == "" {
		return historyFilter{known: true}, nil
	}
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return historyFilter{}, err
	}
	if snap.Process(name) == nil && snap.Machine(name) != nil {
		return historyFilter{machine: name, known: true}, nil
	}
	if p, err := control.One(snap.Processes(), name); err == nil {
		return historyFilter{subject: store.ProcessSubject(p.Name), known: true}, nil
	}
	return historyFilter{subject: store.Subject(name)}, nil // a process that was removed has a history still, and "load SOURCE"
}

func (f historyFilter) has(e api.HistoryEntry) bool { return f.machine == "" || e.Machine == f.machine }

// history reads the last n entries that a filter selects, the oldest first.
func (c *ctl) history(ctx context.Context, f historyFilter, n int) ([]api.HistoryEntry, error) {
	limit := n
	if f.machine != "" {
		limit = 0 // they stand among others
	}
	all, err := store.NewHistory(c.kv, c.keys, c.who, nil).List(ctx, f.subject, limit)
	if err != nil {
		return nil, err
	}
	out := []api.HistoryEntry{}
	for _, e := range all {
		if f.has(e) {
			out = append(out, e)
		}
	}
	if n > 0 && len(out) > n {
		out = out[len(out)-n:]
	}
	return out, nil
}

func (c *ctl) printHistory(entries []api.HistoryEntry) error {
	if c.json {
		for _, e := range entries {
			if err := printLine(c.out, e); err != nil {
				return err
			}
		}
		return nil
	}
	for _, e := range entries {
		fmt.Fprintln(c.out, historyLine(e))
	}
	return nil
}

// historyLine is one entry for people.
func historyLine(e api.HistoryEntry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  ", e.At.Local().Format("2006-01-02 15:04:05.000"))
	subject := e.Process
	if subject == "" {
		subject = e.Machine
	}
	fmt.Fprintf(&b, "%s  %s", subject, e.What)
	if e.Machine != "" && e.Process != "" {
		fmt.Fprintf(&b, " on %s", e.Machine)
	}
	if e.Token != 0 {
		fmt.Fprintf(&b, " (token %d)", e.Token)
	}
	if e.Why != "" {
		fmt.Fprintf(&b, ": %s", e.Why)
	}
	fmt.Fprintf(&b, "  [%s]", e.By)
	if !e.Told.IsZero() {
		fmt.Fprintf(&b, " (told at %s)", e.Told.Local().Format("15:04:05.000"))
	}
	return visible.Line(b.String())
}

// followHistory shows the last entries, and then every new one, until it is interrupted.
func (c *ctl) followHistory(ctx context.Context, o historyOptions, filter historyFilter) error {
	prefix := c.keys.Histories()
	if filter.subject != "" {
		prefix = c.keys.History(filter.subject)
	}
	f := &historyFollower{c: c, filter: filter, number: o.number, seen: map[string]bool{}}
	err := store.Follow(ctx, c.kv, store.Below(prefix), store.FollowOptions{}, f)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// historyFollower shows each entry once. Follow calls it from one goroutine.
type historyFollower struct {
	c      *ctl
	filter historyFilter
	number int
	seen   map[string]bool
}

// Reset implements store.Handler.
func (f *historyFollower) Reset(_ int64, entries []store.Entry) {
	first := len(f.seen) == 0
	shown := f.fresh(entries)
	if first && f.number > 0 && len(shown) > f.number {
		shown = shown[len(shown)-f.number:]
	}
	_ = f.c.printHistory(shown) // a closed stdout ends the program by its signal
}

// Apply implements store.Handler.
func (f *historyFollower) Apply(_ int64, changes []store.Change) {
	var entries []store.Entry
	for _, e := range changes {
		if e.Kind == store.ChangePut {
			entries = append(entries, e.Entry)
		}
	}
	_ = f.c.printHistory(f.fresh(entries))
}

// fresh are the entries that were not shown yet, by time.
func (f *historyFollower) fresh(entries []store.Entry) []api.HistoryEntry {
	var out []api.HistoryEntry
	for _, e := range entries {
		if f.seen[e.Key] {
			continue
		}
		f.seen[e.Key] = true
		if entry, err := store.Decode[api.HistoryEntry](e); err == nil && f.filter.has(entry) {
			out = append(out, entry)
		}
	}
	slices.SortStableFunc(out, func(a, b api.HistoryEntry) int { return a.At.Compare(b.At) })
	return out
}
