package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/control"
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
			want, err := c.readWanted(cmd)
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
	r := &groupResults{c: c, unknown: "ERROR: no such group: "}
	if err := c.control().Update(ctx, c.source(), want, names, o.wait(), r); err != nil {
		return waitFailed(err)
	}
	return r.finish()
}

// groupResults tells what was done to groups, and keeps the exit code.
type groupResults struct {
	c       *ctl
	unknown string // what is said before the name of an unknown group
	list    []groupResult
	code    int
}

var groupWords = map[control.GroupChange]string{control.GroupAdded: "added", control.GroupChanged: "updated", control.GroupRemoved: "removed"}

// Group implements control.GroupReport.
func (r *groupResults) Group(o control.GroupOutcome) {
	switch o.Fault {
	case supervisor.BadName:
		r.fail(o.Group, noSuchGroup, r.unknown+o.Group, exitGeneric)
	case supervisor.AlreadyAdded:
		r.fail(o.Group, "already active", "ERROR: process group already active", exitOK)
	case supervisor.StillRunning:
		r.fail(o.Group, "still running", "ERROR: process/group still running: "+o.Group, exitGeneric)
		r.c.warnf("distsuperctl: still running, or meant to run: %s; \"distsuperctl remove --stop %s\" stops first what is running", abbreviate(o.Running), o.Group)
	default:
		r.done(o)
	}
	switch {
	case o.MemberOf != "":
		r.c.warnf("distsuperctl: %s: this program is in the group %s; that is what can be removed", o.Group, o.MemberOf)
	case o.Bad != nil:
		r.c.warnBadName(o.Bad)
	}
}

// Late implements control.GroupReport.
func (r *groupResults) Late(process, why string) {
	r.c.warnf("distsuperctl: %s has not ended: %s", process, why)
	r.code = exitGeneric
}

func (r *groupResults) fail(group, what, line string, code int) {
	r.c.printf("%s\n", line)
	r.list = append(r.list, groupResult{Group: group, Result: what, OK: code == exitOK, Stopped: []string{}, Restarted: []string{}})
	if code != exitOK {
		r.code = code
	}
}

// done tells of a group that is as it was to be.
func (r *groupResults) done(o control.GroupOutcome) {
	word := groupWords[o.Change]
	if o.Ended {
		r.c.printf("%s: stopped\n", o.Group)
	}
	r.c.printf("%s: %s process group\n", o.Group, word)
	r.list = append(r.list, groupResult{Group: o.Group, OK: true, Result: word, Stopped: orEmpty(o.Stopped), Restarted: orEmpty(o.Restarted)})
}

func (r *groupResults) finish() error {
	if r.c.json {
		if err := printJSON(r.c.out, orEmpty(r.list)); err != nil {
			return err
		}
	}
	return failed(r.code)
}
