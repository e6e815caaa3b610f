package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/store/etcd"
)

// completeWithin is how long a shell waits for names at most.
const completeWithin = 700 * time.Millisecond

// completer is what cobra asks for the candidates of an argument.
type completer = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// complete offers what names finds in the store, but for what was written already; without an answer in time it offers
// nothing.
func (c *ctl) complete(cmd *cobra.Command, args []string, names func(*client.Snapshot) []string) ([]string, cobra.ShellCompDirective) {
	snap, err := c.snapshotInTime(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found := slices.DeleteFunc(names(snap), func(name string) bool { return slices.Contains(args, name) })
	return found, cobra.ShellCompDirectiveNoFileComp
}

// snapshotInTime is what is in the store, or was a moment ago: a shell asks for it once for some keys.
func (c *ctl) snapshotInTime(cmd *cobra.Command) (*client.Snapshot, error) {
	if c.shell != nil && c.shell.offer.snap != nil && time.Since(c.shell.offer.at) < offerFor {
		return c.shell.offer.snap, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), completeWithin)
	defer cancel()
	from := c.client // the shell's, which is open, or a test's
	if from == nil {
		if err := c.settings(cmd); err != nil {
			return nil, err
		}
		sc, err := c.choose().storeConfig()
		if err != nil {
			return nil, err
		}
		kv, err := etcd.Open(ctx, sc)
		if err != nil {
			return nil, err
		}
		defer kv.Close()
		from = client.New(kv, c.keys, c.who)
	}
	snap, err := from.Snapshot(ctx)
	if err == nil && c.shell != nil {
		c.shell.offer = offer{snap: snap, at: time.Now()}
	}
	return snap, err
}

func (c *ctl) completeProcesses(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, func(s *client.Snapshot) (out []string) {
		grouped := map[string]int{}
		for _, p := range s.Processes() {
			out = append(out, p.Name)
			grouped[p.Group]++
		}
		for _, g := range control.Groups(s.Processes()) {
			if grouped[g] > 1 {
				out = append(out, g+":*")
			}
		}
		return append(out, "all")
	})
}

func (c *ctl) completePrograms(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, func(s *client.Snapshot) (out []string) {
		for _, p := range s.Programs() {
			out = append(out, p.Name)
		}
		return out
	})
}

func (c *ctl) completeGroups(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, func(s *client.Snapshot) []string { return control.Groups(s.Processes()) })
}

func (c *ctl) completeMachines(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, func(s *client.Snapshot) (out []string) {
		for _, m := range s.Machines() {
			out = append(out, m.Name)
		}
		return out
	})
}

// either offers what each of both does.
func either(a, b completer) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		one, directive := a(cmd, args, word)
		two, also := b(cmd, args, word)
		return append(one, two...), directive | also
	}
}

// then offers for each argument what its place takes; behind the last there is nothing more.
func then(places ...completer) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(places) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return places[len(args)](cmd, args, word)
	}
}

// words offers these.
func words(offered ...string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
}

// takeFiles are the commands whose arguments are files; what they are is left to the shell.
var takeFiles = []string{"distsuperctl config check", "distsuperctl init config", "distsuperctl open"}

// addCompletion says for every command what may stand behind it: nothing, unless it said something itself.
func addCompletion(cmd *cobra.Command) {
	switch {
	case cmd.ValidArgsFunction != nil:
		cmd.ValidArgsFunction = unlessFull(cmd.ValidArgsFunction)
	case len(cmd.ValidArgs) == 0 && !slices.Contains(takeFiles, cmd.CommandPath()):
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range cmd.Commands() {
		addCompletion(sub)
	}
}

// unlessFull offers nothing where the command would refuse one more argument.
func unlessFull(complete completer) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if cmd.Args != nil && cmd.Args(cmd, args) == nil && cmd.Args(cmd, append(slices.Clone(args), "more")) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, word)
	}
}
