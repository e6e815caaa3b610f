package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/controller/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/beside"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/spec"
)

type loadOptions struct {
	dryRun, strict, yes bool
}

func (o *loadOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and do nothing")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "refuse unknown keys and sections instead of warning")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask, even if running processes stop")
}

func newLoad(c *ctl) *cobra.Command {
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "load",
		Short: "make the programs of the configuration those of the fleet",
		Long: `load reads the [program:x] and [group:x] sections of the configuration and makes them those of the fleet. It shows what
it will add, change and remove, and then does all of it or nothing. It never touches programs of another source
([distsuperctl] source, or the Go API). A change that a process itself can see restarts it; any other change applies
while it runs. New processes start if autostart says so; existing ones stay as the user last asked.

A load that stops running processes for good asks first, and needs --yes where nobody can answer. If no endpoint is
configured, it starts distsuperd's own etcd unless that runs already. If a distsuperd solo runs the file, load makes it
read the file, as update does.`,
		Example: "  distsuperctl load --dry-run\n  distsuperctl load -c fleet.ini --yes",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.settings(cmd); err != nil {
				return err
			}
			programs, err := c.choose().programsToLoad(cmd, o.strict)
			if err != nil {
				return err
			}
			return runLoad(cmd.Context(), c, o, c.source(), programs)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

// readPrograms reads the programs of the configuration, and tells what is remarkable about them.
func readPrograms(c *ctl, strict bool) ([]api.Program, error) {
	if c.cfg.File == "" {
		return nil, usage(errors.New("there is no distsuper.ini here and no /etc/distsuper.ini to load; name one with -c FILE"))
	}
	if c.partly != nil { // the solo that ran it has just ended
		return nil, refused(c.partly)
	}
	options, err := readerOf(c.cfg, strict)
	if err != nil {
		return nil, err
	}
	r, err := spec.Read(c.cfg.Ini, options)
	told := map[string]bool{}
	tell := func(what, text string) {
		if !told[text] {
			c.warnf("%s: %s", what, text)
		}
		told[text] = true
	}
	if r != nil {
		for _, w := range r.Warnings {
			tell("warning", w.String())
		}
	}
	for _, w := range c.cfg.Warnings {
		tell("warning", w)
	}
	if err != nil {
		return nil, refused(err)
	}
	if strict && len(c.cfg.Warnings) > 0 {
		return nil, errStrict
	}
	for _, n := range r.Notes {
		tell("note", n.String())
	}
	if other, found := beside.Of(c.cfg.Ini, c.cfg.File).Look(); found {
		tell("warning", fmt.Sprintf("%s; if this host is a machine of the fleet, its programs may run twice: stop it (%s)", other.Found, other.Stop))
	}
	return r.Programs, nil
}

// loadResult is the JSON of load.
type loadResult struct {
	Source    string   `json:"source"`
	DryRun    bool     `json:"dry_run,omitempty"`
	Added     []string `json:"added"`
	Changed   []string `json:"changed"`
	Removed   []string `json:"removed"`
	Unchanged []string `json:"unchanged"`
	Stops     []string `json:"stops"`
	Restarts  []string `json:"restarts"`
	// SingleServer is the controller with whose host the fleet's only server is lost, which ends processes.
	SingleServer string `json:"single_server,omitempty"`
}

func runLoad(ctx context.Context, c *ctl, o loadOptions, source string, programs []api.Program) error {
	p, err := c.client.PlanLoad(ctx, source, programs)
	if err != nil {
		return err
	}
	c.printf("%s", p.Text())
	if u := p.Unfinished; u != nil {
		c.warnf("an earlier load of %s by %s was cut short; this one completes it", source, u.By)
	}
	servers := c.warnFleet(ctx, programs)
	if len(p.Restarts) > 0 {
		c.printf("running, and restarted by this: %s\n", abbreviate(p.Restarts))
	}
	if len(p.Stops) > 0 {
		c.printf("running, and stopped by this: %s\n", strings.Join(p.Stops, ", "))
	}
	if !o.dryRun && !p.Empty() {
		if len(p.Stops) > 0 {
			if err := c.confirm(o.yes, "Stop "+plural(len(p.Stops), "running process")+"?"); err != nil {
				return fmt.Errorf("load would stop %s: %w", strings.Join(p.Stops, ", "), err)
			}
		}
		if err := c.client.Load(ctx, p); err != nil {
			return err
		}
	}
	if c.json {
		return printJSON(c.out, loadResult{Source: source, DryRun: o.dryRun, Added: names(p.Added), Changed: names(p.Changed),
			Removed: names(p.Removed), Unchanged: names(p.Unchanged), Stops: orEmpty(p.Stops), Restarts: orEmpty(p.Restarts),
			SingleServer: servers.Only()})
	}
	return nil
}

// warnFleet names programs that no machine which is known now may run, though more may come, and says what is to be said of the servers.
func (c *ctl) warnFleet(ctx context.Context, programs []api.Program) control.Servers {
	snap, err := c.client.Snapshot(ctx)
	if err != nil || len(snap.Machines()) == 0 {
		return control.Servers{} // the load itself tells of the error; a fleet that has not begun has no machines
	}
	for _, p := range programs {
		if !anyMatches(snap, p.Machines) {
			c.warnf("warning: program %s: no machine matches machines = %s; known are %s", p.Name, strings.Join(p.Machines, ","), machineNames(snap.Machines()))
		}
	}
	return c.warnServers(ctx, c.members(ctx), timeoutsToBe(programs, snap.Machines()))
}

func anyMatches(snap *client.Snapshot, machines []string) bool {
	for _, m := range snap.Machines() {
		if m.Info != nil && plan.MatchMachine(machines, *m.Info) {
			return true
		}
	}
	return false
}

func machineNames(machines []client.Machine) string {
	var out []string
	for _, m := range machines {
		out = append(out, m.Name)
	}
	return abbreviate(out)
}

func names(changes []spec.Change) []string {
	out := []string{}
	for _, ch := range changes {
		out = append(out, ch.Name)
	}
	return out
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
