package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

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
	if known := allGroups(snap); !slices.Contains(known, name) {
		report.Group(GroupOutcome{Group: name, Fault: supervisor.BadName, Bad: notAmong(known, BadName{Name: name, Group: true}),
			MemberOf: memberOf(snap.Programs(), name)})
		return nil
	}
	for _, p := range snap.Processes() {
		if p.Group == name && p.Unreadable != "" {
			return fmt.Errorf("%s: %s", p.Name, unreadable(p.Unreadable))
		}
	}
	running := runningOf(snap, name)
	if len(running) > 0 && !stop {
		report.Group(GroupOutcome{Group: name, Fault: supervisor.StillRunning, Running: running})
		return nil
	}
	err = c.client.RemoveGroup(ctx, name)
	if err != nil && !errors.Is(err, client.ErrNotFound) { // not found: it is being removed already
		return err
	}
	if err := c.awaitDown(ctx, w, running, Down, report); err != nil {
		return err
	}
	report.Group(GroupOutcome{Group: name, Change: GroupRemoved, Fault: supervisor.Success, Stopped: running})
	return nil
}

// allGroups are the groups that there are: those of programs, and those of which something is being removed.
func allGroups(snap *client.Snapshot) []string {
	groups := append(groupNames(snap.Programs()), Groups(snap.Processes())...)
	slices.Sort(groups)
	return slices.Compact(groups)
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
		if p.Group == group && (!isDown(&p) || waits) {
			out = append(out, p.Name)
		}
	}
	return out
}
