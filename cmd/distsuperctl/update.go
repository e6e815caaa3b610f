package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

func newUpdate(c *ctl) *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "update [all|GROUP...]",
		Short: "apply the changes that reread shows",
		Long: `update applies the configuration to groups, all or the named ones: it adds, changes and removes what reread shows, and
asks nothing. Like load, it restarts only the processes that can see the change; existing ones stay as the user last
asked. It waits until what it stops is down, but not for what it starts.`,
		Example:           "  distsuperctl update\n  distsuperctl update web mailer",
		ValidArgsFunction: c.completeGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			want, err := c.wanted(cmd, false)
			if err != nil {
				return c.cantReread(err)
			}
			return runUpdate(cmd.Context(), c, o, want, args)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

// groupResult is the JSON of what was done to a group.
type groupResult struct {
	Group  string `json:"group"`
	OK     bool   `json:"ok"`
	Result string `json:"result"` // "added", "updated", "removed", or what is wrong
	// Stopped and Restarted are the processes of it that ran.
	Stopped   []string `json:"stopped"`
	Restarted []string `json:"restarted"`
}

func runUpdate(ctx context.Context, c *ctl, o waitOptions, want []api.Program, names []string) error {
	if slices.Contains(names, "all") {
		names = nil
	}
	picked := func(group string) bool { return len(names) == 0 || slices.Contains(names, group) }
	active, err := c.activeGroups(ctx)
	if err != nil {
		return err
	}
	diff, plan, err := c.applyGroups(ctx, want, picked)
	if err != nil {
		return err
	}
	r := &groupResults{c: c}
	for _, name := range names {
		if !slices.Contains(active, name) && !slices.Contains(diff.Added, name) {
			r.fail(name, "no such group", "ERROR: no such group: "+name, exitGeneric)
		}
	}
	if err := r.awaitEnds(ctx, o, plan); err != nil {
		return err
	}
	for _, part := range []struct {
		groups []string
		word   string
	}{{diff.Removed, "removed"}, {diff.Changed, "updated"}, {diff.Added, "added"}} {
		for _, g := range part.groups {
			if picked(g) {
				r.done(g, part.word, plan)
			}
		}
	}
	return r.finish()
}

// applyGroups makes the picked groups as they are wanted, and returns what differed and what was done.
func (c *ctl) applyGroups(ctx context.Context, want []api.Program, picked func(string) bool) (client.GroupChanges, *client.LoadPlan, error) {
	for tries := 0; ; tries++ {
		have, err := c.client.SourcePrograms(ctx, c.source())
		if err != nil {
			return client.GroupChanges{}, nil, err
		}
		plan, err := c.client.PlanLoad(ctx, c.source(), client.PickGroups(have, want, picked))
		if err == nil {
			err = c.client.Load(ctx, plan)
		}
		if errors.Is(err, client.ErrStale) && tries < 5 {
			continue // somebody else changed a program between the look and the write
		}
		return client.DiffGroups(have, want), plan, err
	}
}

// groupResults tells what was done to groups, and keeps the exit code.
type groupResults struct {
	c    *ctl
	list []groupResult
	code int
}

func (r *groupResults) fail(group, what, line string, code int) {
	r.c.printf("%s\n", line)
	r.list = append(r.list, groupResult{Group: group, Result: what, OK: code == exitOK, Stopped: []string{}, Restarted: []string{}})
	if code != exitOK {
		r.code = code
	}
}

// done tells of one group; whatever of it had to end has ended.
func (r *groupResults) done(group, word string, plan *client.LoadPlan) {
	res := groupResult{Group: group, OK: true, Result: word, Stopped: []string{}, Restarted: []string{}}
	ends := word == "removed"
	for _, proc := range plan.Ends() {
		if proc.Old.Group != group {
			continue
		}
		ends = true
		switch {
		case slices.Contains(plan.Stops, proc.ID):
			res.Stopped = append(res.Stopped, proc.ID)
		case slices.Contains(plan.Restarts, proc.ID):
			res.Restarted = append(res.Restarted, proc.ID)
		}
	}
	if ends {
		r.c.printf("%s: stopped\n", group)
	}
	r.c.printf("%s: %s process group\n", group, word)
	r.list = append(r.list, res)
}

func (r *groupResults) finish() error {
	if r.c.json {
		if r.list == nil {
			r.list = []groupResult{}
		}
		if err := printJSON(r.c.out, r.list); err != nil {
			return err
		}
	}
	return failed(r.code)
}

// awaitEnds waits until the runs have ended that a plan ends.
func (r *groupResults) awaitEnds(ctx context.Context, o waitOptions, plan *client.LoadPlan) error {
	wanted := map[string]string{} // the fingerprint of the new run
	for _, proc := range plan.Ends() {
		if proc.New != nil {
			wanted[proc.ID] = spec.Fingerprint(*proc.New)
		}
	}
	return r.await(ctx, o, slices.Concat(plan.Stops, plan.Restarts), func(p *client.Process) verdict {
		if p != nil && p.Spec != nil {
			return judgeRenewed(p, wanted[p.Name])
		}
		return judgeStop(p)
	})
}

// await waits for the end of runs, and says which do not end.
func (r *groupResults) await(ctx context.Context, o waitOptions, processes []string, judge func(*client.Process) verdict) error {
	if o.noWait {
		return nil
	}
	o.begin()
	return r.c.wait(ctx, o, processes, judge, func(name string, _ *client.Process, v verdict) {
		if v.fault != supervisor.Success {
			r.c.warnf("distsuperctl: %s has not ended: %s", name, v.text)
			r.code = exitGeneric
		}
	})
}

// judgeRenewed says whether the run of a process that is to be restarted, since its settings changed, is over.
func judgeRenewed(p *client.Process, fingerprint string) verdict {
	switch {
	case p.Owner == nil, down(p), p.Intent == nil || p.Intent.Want != api.WantRun:
		return over(supervisor.Success, "")
	case p.Owner.Spec == fingerprint && p.Status != nil:
		return over(supervisor.Success, "")
	case p.State == api.Unknown:
		return pending(p, true)
	case p.Owner.Spec != fingerprint && p.Live:
		return pendingRestart(p)
	}
	return pending(p, false)
}
