package control

import (
	"context"
	"errors"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// GroupChange is how a group differs from what is in force, or what was done about it.
type GroupChange int

// The ways in which it may differ.
const (
	GroupAdded GroupChange = iota
	GroupChanged
	GroupRemoved
)

// GroupOutcome is what became of a group that was to be added, changed or removed.
type GroupOutcome struct {
	Group  string
	Change GroupChange
	// Fault is supervisor.Success, BadName, AlreadyAdded or StillRunning.
	Fault supervisor.Fault
	// Bad is why there is no such group, where that is known.
	Bad *BadName
	// MemberOf is the group of a program that was named as a group but is in another one.
	MemberOf string
	// Ended: something of it ran, or could, and does not any more. Stopped and Restarted are those that ran.
	Ended              bool
	Stopped, Restarted []string
	// Running is why it is StillRunning.
	Running []string
}

// GroupReport receives what becomes of groups.
type GroupReport interface {
	Group(GroupOutcome)
	// Late: a process has not ended as it should have, and is not waited for any longer.
	Late(process, why string)
}

// Update makes the groups of a source as they are wanted, all or the named ones, and waits until what that stops is down;
// for what it starts it does not wait.
func (c *Control) Update(ctx context.Context, source string, want []api.Program, groups []string, w Wait, report GroupReport) error {
	if slices.Contains(groups, "all") {
		groups = nil
	}
	picked := func(group string) bool { return len(groups) == 0 || slices.Contains(groups, group) }
	before, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	diff, plan, err := c.apply(ctx, source, want, picked)
	if err != nil {
		return err
	}
	known := append(allGroups(before), diff.Added...)
	for _, name := range groups {
		if !slices.Contains(known, name) {
			report.Group(GroupOutcome{Group: name, Fault: supervisor.BadName})
		}
	}
	if err := c.awaitEnds(ctx, w, plan, report); err != nil {
		return err
	}
	for _, part := range []struct {
		groups []string
		change GroupChange
	}{{diff.Removed, GroupRemoved}, {diff.Changed, GroupChanged}, {diff.Added, GroupAdded}} {
		for _, g := range part.groups {
			if picked(g) {
				report.Group(groupDone(g, part.change, plan))
			}
		}
	}
	return nil
}

// AddGroups puts groups in force that are wanted and are not.
func (c *Control) AddGroups(ctx context.Context, source string, want []api.Program, groups []string, report GroupReport) error {
	for _, name := range groups {
		active, err := c.activeGroups(ctx)
		if err != nil {
			return err
		}
		if slices.Contains(active, name) {
			report.Group(GroupOutcome{Group: name, Fault: supervisor.AlreadyAdded})
			continue
		}
		diff, plan, err := c.apply(ctx, source, want, func(group string) bool { return group == name })
		switch {
		case err != nil:
			return err
		case !slices.Contains(diff.Added, name):
			report.Group(GroupOutcome{Group: name, Fault: supervisor.BadName})
		default:
			report.Group(groupDone(name, GroupAdded, plan))
		}
	}
	return nil
}

// apply makes the picked groups as they are wanted, and returns what differed and what was done.
func (c *Control) apply(ctx context.Context, source string, want []api.Program, picked func(string) bool) (GroupChanges, *client.LoadPlan, error) {
	for tries := 0; ; tries++ {
		have, err := c.client.SourcePrograms(ctx, source)
		if err != nil {
			return GroupChanges{}, nil, err
		}
		plan, err := c.client.PlanLoad(ctx, source, PickGroups(have, want, picked))
		if err == nil {
			err = c.client.Load(ctx, plan)
		}
		if errors.Is(err, client.ErrStale) && tries < 5 {
			continue // somebody else changed a program between the look and the write
		}
		return DiffGroups(have, want), plan, err
	}
}

// groupDone is the outcome of a group; whatever of it had to end has ended.
func groupDone(group string, change GroupChange, plan *client.LoadPlan) GroupOutcome {
	o := GroupOutcome{Group: group, Change: change, Fault: supervisor.Success, Ended: change == GroupRemoved}
	for _, proc := range plan.Ends() {
		if proc.Old.Group != group {
			continue
		}
		o.Ended = true
		switch {
		case slices.Contains(plan.Stops, proc.ID):
			o.Stopped = append(o.Stopped, proc.ID)
		case slices.Contains(plan.Restarts, proc.ID):
			o.Restarted = append(o.Restarted, proc.ID)
		}
	}
	return o
}

// awaitEnds waits until the runs have ended that a plan ends.
func (c *Control) awaitEnds(ctx context.Context, w Wait, plan *client.LoadPlan, report GroupReport) error {
	want := map[string]api.Process{}
	for _, proc := range plan.Ends() {
		if proc.New != nil {
			want[proc.ID] = *proc.New
		}
	}
	return c.awaitDown(ctx, w, slices.Concat(plan.Stops, plan.Restarts), Renewed(want), report)
}

// awaitDown waits for the end of runs, and tells which do not end.
func (c *Control) awaitDown(ctx context.Context, w Wait, processes []string, goal Goal, report GroupReport) error {
	if w.Not {
		return nil
	}
	_, err := c.wait(ctx, w.begin(), nil, processes, goal, func(e checked) {
		if e.check.Fault != supervisor.Success {
			report.Late(e.name, e.check.Text)
		}
	})
	return err
}
