package control

import (
	"context"
	"errors"
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
