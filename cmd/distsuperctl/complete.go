package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

// completeWithin is how long a shell waits for names at most.
const completeWithin = 700 * time.Millisecond

// complete offers what names finds in the store; without an answer in time it offers nothing.
func (c *ctl) complete(cmd *cobra.Command, names func(*client.Snapshot) []string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	if c.settings(cmd) != nil {
		return nil, nothing
	}
	sc, err := c.storeConfig()
	if err != nil {
		return nil, nothing
	}
	ctx, cancel := context.WithTimeout(context.Background(), completeWithin)
	defer cancel()
	kv, err := store.Open(ctx, sc)
	if err != nil {
		return nil, nothing
	}
	defer kv.Close()
	snap, err := client.New(kv, c.keys, c.who).Snapshot(ctx)
	if err != nil {
		return nil, nothing
	}
	return names(snap), nothing
}

func (c *ctl) completeProcesses(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, func(s *client.Snapshot) (out []string) {
		grouped := map[string]int{}
		for _, p := range s.Processes {
			out = append(out, p.Name)
			grouped[p.Group]++
		}
		for _, g := range groups(s.Processes) {
			if grouped[g] > 1 {
				out = append(out, g+":*")
			}
		}
		return append(out, "all")
	})
}

func (c *ctl) completePrograms(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, func(s *client.Snapshot) (out []string) {
		for _, p := range s.Programs {
			out = append(out, p.Name)
		}
		return out
	})
}

func (c *ctl) completeMachines(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, func(s *client.Snapshot) (out []string) {
		for _, m := range s.Machines {
			out = append(out, m.Name)
		}
		return out
	})
}
