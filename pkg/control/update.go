package control

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/spec"
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

// GroupReport is told what becomes of groups.
type GroupReport interface {
	Group(GroupOutcome)
	// Late is told of a process that has not ended as it should have, and is waited for no longer.
	Late(process, why string)
}

// Reread compares the groups of a source that are in force with those that are wanted.
func (c *Control) Reread(ctx context.Context, source string, want []api.Program) (GroupChanges, error) {
	have, err := c.client.SourcePrograms(ctx, source)
	if err != nil {
		return GroupChanges{}, err
	}
	return DiffGroups(have, want), nil
}

// Available is a process that the configuration asks for.
type Available struct {
	api.Process
	Autostart bool
	InUse     bool // its group is in force
}

// Available are the processes that are wanted, in supervisor's order: the process's own name counts first.
func (c *Control) Available(ctx context.Context, want []api.Program) ([]Available, error) {
	active, err := c.activeGroups(ctx)
	if err != nil {
		return nil, err
	}
	var out []Available
	for _, p := range want {
		processes, err := spec.Processes(p)
		if err != nil {
			return nil, err
		}
		for _, proc := range processes {
			out = append(out, Available{proc, p.Autostart, slices.Contains(active, proc.Group)})
		}
	}
	slices.SortFunc(out, func(a, b Available) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Process.Compare(b.Process))
	})
	return out, nil
}

// activeGroups are the groups in force, of every source.
func (c *Control) activeGroups(ctx context.Context) ([]string, error) {
	programs, err := c.client.List(ctx)
	if err != nil {
		return nil, err
	}
	return groupNames(programs), nil
}

// Update makes the groups of a source as they are wanted, all or the named ones, and waits until what that stops is down;
// for what it starts it does not wait.
func (c *Control) Update(ctx context.Context, source string, want []api.Program, groups []string, w Wait, report GroupReport) error {
	if slices.Contains(groups, "all") {
		groups = nil
	}
	picked := func(group string) bool { return len(groups) == 0 || slices.Contains(groups, group) }
	active, err := c.activeGroups(ctx)
	if err != nil {
		return err
	}
	diff, plan, err := c.apply(ctx, source, want, picked)
	if err != nil {
		return err
	}
	for _, name := range groups {
		if !slices.Contains(active, name) && !slices.Contains(diff.Added, name) {
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

// RemoveGroups forgets groups, whatever their source. One of which something runs, or is to run, is left as it is, unless
// stop says to stop that first.
func (c *Control) RemoveGroups(ctx context.Context, groups []string, stop bool, w Wait, report GroupReport) error {
	for _, name := range groups {
		if err := c.removeGroup(ctx, name, stop, w, report); err != nil {
			return err
		}
	}
	return nil
}

func (c *Control) removeGroup(ctx context.Context, name string, stop bool, w Wait, report GroupReport) error {
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	if known := groupNames(snap.Programs()); !slices.Contains(known, name) {
		report.Group(GroupOutcome{Group: name, Fault: supervisor.BadName, Bad: notAmong(known, BadName{Name: name, Group: true}),
			MemberOf: memberOf(snap.Programs(), name)})
		return nil
	}
	running := runningOf(snap, name)
	if len(running) > 0 && !stop {
		report.Group(GroupOutcome{Group: name, Fault: supervisor.StillRunning, Running: running})
		return nil
	}
	err = c.client.RemoveGroup(ctx, name)
	if err != nil && !errors.Is(err, client.ErrNotFound) { // not found: somebody else removed it meanwhile
		return err
	}
	if err := c.awaitDown(ctx, w, running, Down, report); err != nil {
		return err
	}
	report.Group(GroupOutcome{Group: name, Change: GroupRemoved, Fault: supervisor.Success, Stopped: running})
	return nil
}

// memberOf is the first group of a program, "" for none.
func memberOf(programs []client.ProgramState, name string) string {
	for _, p := range programs {
		if p.Name == name {
			return p.GroupList()[0].Name
		}
	}
	return ""
}

// runningOf are the processes of a group that run, or are to.
func runningOf(snap *client.Snapshot, group string) (out []string) {
	for _, p := range snap.Processes() {
		// What ended by itself is wanted, and yet does not run; what waits for a machine is to run.
		waits := p.State == api.Stopped && wanted(&p)
		if p.Group == group && p.Spec != nil && (!isDown(&p) || waits) {
			out = append(out, p.Name)
		}
	}
	return out
}
