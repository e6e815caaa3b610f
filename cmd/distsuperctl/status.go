package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/supervisor"
	"github.com/distsuper/distsuper/pkg/visible"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/store/trust"
)

type statusOptions struct {
	watch   bool
	machine string
}

func (o *statusOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "keep running, and print every change")
	cmd.Flags().StringVar(&o.machine, "machine", "", "show what is on this machine; while etcd is silent or full, ask the machine itself")
}

func newStatus(c *ctl) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "show processes: name, state, machine, and pid and uptime or a reason",
		Long: `status shows processes with their state, their machine (or the one where they ran last), and their pid and uptime, or the
reason why they are not as they should be. For distsuperd solo it has exactly supervisorctl's columns. With -w it keeps
running and prints every change.

With --machine it shows what is on one machine. While etcd is silent or full, the agent of that machine is asked itself, at the address that
etcd gave last, and a first line says how old its knowledge of etcd is.`,
		Example:           "  distsuperctl status\n  distsuperctl status 'web:*' --json\n  distsuperctl status -w\n  distsuperctl status --machine m1",
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			open := c.connect // what is looked up by names tells of the schema
			switch {
			case o.watch && o.machine != "":
				return usage(errors.New("status takes -w or --machine, not both"))
			case o.watch:
				open = c.open
			case o.machine != "":
				open = func(cmd *cobra.Command) error { return c.openOrAsk(cmd, o.machine) }
			}
			if err := open(cmd); err != nil {
				if errors.Is(err, errNobody) {
					err = &exitError{code: exitUnreachable, err: err} // not 7, as of other commands
				}
				return err
			}
			return runStatus(cmd.Context(), c, o, args)
		},
	}
	o.AddFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("machine", c.completeMachines) // it fails only for a flag that is not there
	return cmd
}

// row is a process as status shows it, and its JSON.
type row struct {
	Name         string         `json:"name"`
	Group        string         `json:"group"`
	Program      string         `json:"program"`
	StateCode    int            `json:"statecode"`
	Machine      string         `json:"machine"`
	Description  string         `json:"description"`
	api.Observed                // as its machine last told, but for State: that is the fleet's view of it
	Token        int64          `json:"token,omitempty"`
	Live         bool           `json:"machine_live"`
	Want         api.Want       `json:"want"`
	AskedBy      string         `json:"asked_by,omitempty"`
	Restarts     int64          `json:"restarts,omitempty"`
	WaitingFor   api.WaitingFor `json:"waiting_for,omitempty"`
	Waiting      string         `json:"waiting,omitempty"`
	SingleServer string         `json:"single_server,omitempty"` // the controller with whose host the fleet's only server is lost, which ends the process
	AsOf         string         `json:"as_of,omitempty"`         // whose knowledge it is while etcd is silent, and how old
}

func rowOf(p client.Process) row {
	r := row{Name: p.Name, Group: p.Group, Program: p.Program, StateCode: int(p.State), Description: p.Text,
		Live: p.Live, Want: api.WantStop}
	if i := p.Intent; i != nil {
		r.Want, r.AskedBy, r.Restarts = i.Want, i.By, i.Restarts
	}
	if o := p.Owner; o != nil {
		r.Machine, r.Token, r.WaitingFor, r.Waiting = o.Machine, o.Token, o.WaitingFor, o.Waiting
	}
	if s := p.Status; s != nil {
		r.Observed = s.Observed
	}
	r.State = p.State
	return r
}

func runStatus(ctx context.Context, c *ctl, o statusOptions, names []string) error {
	if o.watch {
		c.follows()
		return watchStatus(ctx, c, names)
	}
	if c.away != nil {
		return statusOfAgent(ctx, c, o.machine, names)
	}
	snap, err := c.client.Look(ctx, names...)
	if err != nil {
		return err
	}
	rows, bad := chooseRows(snap.Processes(), names)
	if o.machine != "" {
		if rows, err = c.onMachine(ctx, rows, o.machine); err != nil {
			return err
		}
	}
	doubts := c.doubts(ctx, snap, processNames(rows))
	for i := range rows {
		rows[i].Description = with(rows[i].Description, doubts[rows[i].Name])
	}
	c.printBadNames(bad)
	members := c.members(ctx)
	servers := c.servers(ctx, members, timeoutsOf(snap.Processes()))
	for i := range rows {
		if p := snap.Process(rows[i].Name); p != nil && stopsWithout(*p) {
			rows[i].SingleServer = servers.Only()
		}
	}
	if err := c.printStatus(rows); err != nil {
		return err
	}
	c.printWarnings(snap, members, servers)
	if slices.ContainsFunc(rows, func(r row) bool { return !r.Live && r.Want == api.WantRun }) {
		if r, err := c.client.Refusals(ctx, snap); err == nil && len(r.Machines)+len(r.Controllers) > 0 {
			c.warnf("warning: %s", refusedText(r.Machines, r.Controllers))
		}
	}
	return statusExit(rows, bad)
}

// printStatus prints the rows, as JSON or as a table.
func (c *ctl) printStatus(rows []row) error {
	if !c.json {
		c.printRows(rows)
	} else if err := printJSON(c.out, rows); err != nil {
		return err
	}
	for _, r := range rows {
		if held := r.HeldText(); held != "" && c.deployment.oneMachine() { // supervisorctl's columns have no room for it
			c.warnf("warning: %s: %s", r.Name, held)
		}
	}
	return nil
}

func statusExit(rows []row, bad []*control.BadName) error {
	states := make([]api.State, len(rows))
	for i, r := range rows {
		states[i] = r.State
	}
	return failed(supervisor.StatusExit(states, len(bad) > 0))
}

// onMachine are the rows of what is on one machine, which has to be known.
func (c *ctl) onMachine(ctx context.Context, rows []row, machine string) ([]row, error) {
	if _, err := trust.Machine(ctx, c.kv, c.keys, machine); errors.Is(err, trust.ErrNoMachine) {
		return nil, c.explainMachine(ctx, machine, client.ErrNotFound)
	}
	return slices.DeleteFunc(rows, func(r row) bool { return r.Machine != machine }), nil
}

// statusOfAgent shows what a machine says itself, and for how long that has been all that there is to know.
func statusOfAgent(ctx context.Context, c *ctl, machine string, names []string) error {
	a, err := c.askMachine(ctx, machine)
	if err != nil {
		return err
	}
	rows, bad := chooseRows(a.processes(machine, time.Now()), names)
	for i := range rows {
		rows[i].Want, rows[i].AsOf = "", a.mark()
	}
	c.printf("%s\n", a.mark())
	c.printBadNames(bad)
	if err := c.printStatus(rows); err != nil {
		return err
	}
	for _, remark := range a.remarks() {
		c.warnf("%s", remark)
	}
	return statusExit(rows, bad)
}

// chooseRows are the processes that are meant, all without a name.
func chooseRows(processes []client.Process, names []string) (rows []row, bad []*control.BadName) {
	if len(names) == 0 {
		names = []string{"all"}
	}
	found, bad := control.Find(processes, names)
	of := make(map[string]*client.Process, len(processes))
	for i := range processes {
		of[processes[i].Name] = &processes[i]
	}
	rows = []row{}
	for _, name := range found {
		rows = append(rows, rowOf(*of[name]))
	}
	return rows, bad
}

// printRows writes the table: supervisor's columns, and on a fleet the machine.
func (c *ctl) printRows(rows []row) {
	names := make([]string, len(rows))
	machine := 0
	for i, r := range rows {
		names[i] = r.Name
		machine = max(machine, utf8.RuneCountInString(orDash(r.Machine)))
	}
	width := supervisor.StatusWidth(names)
	for _, r := range rows {
		fmt.Fprintln(c.out, c.line(r, width, machine))
	}
}

func (c *ctl) line(r row, width, machine int) string {
	if c.deployment.oneMachine() && !c.colour {
		return visible.Line(supervisor.StatusLine(width, r.Name, r.State, r.Description))
	}
	r.Description = with(r.Description, r.HeldText())
	where := padTo(visible.Line(orDash(r.Machine)), machine+2)
	if c.deployment.oneMachine() {
		where = ""
	}
	state := c.paint(r.State, padTo(r.State.String(), 10))
	return strings.TrimRight(padTo(visible.Line(r.Name), width+3)+state+where+visible.Line(r.Description), " ")
}

// printWarnings says in a line each what is wrong with etcd and with machines.
func (c *ctl) printWarnings(snap *client.Snapshot, members []store.Member, servers control.Servers) {
	told := map[string]bool{}
	warn := func(text string) {
		if !told[text] {
			c.warnf("warning: %s", text)
		}
		told[text] = true
	}
	var versions []string
	for _, m := range members {
		versions = append(versions, m.Version)
		for _, a := range m.Alarms {
			switch a {
			case store.AlarmNoSpace:
				warn(store.Full + ". What ends meanwhile does not reach the fleet, so this may be old; status --machine M asks machine M itself")
			default:
				warn("etcd at " + m.Endpoint + " raises the alarm " + a)
			}
		}
	}
	if w := etcd.FencingWarning(versions); w != "" {
		warn(w)
	}
	for _, line := range servers.Warnings() {
		warn(line)
	}
	if c.opened != nil {
		if ending := c.opened.store.Ending(time.Now()); ending != "" {
			warn(ending)
		}
	}
	for _, m := range snap.Machines() {
		if m.Info != nil && m.Alive != nil && m.Info.Warning != "" && !told[m.Info.Warning] {
			warn(m.Name + ": " + m.Info.Warning)
		}
	}
	for _, m := range snap.Machines() {
		if text := machineRowOf(m, time.Now()).troubleText(time.Now()); text != "" {
			warn(m.Name + " is avoided: " + text)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(snap.Broken())) {
		warn("a value in etcd cannot be read: " + key + ": " + strings.TrimPrefix(snap.Broken()[key], key+": "))
	}
}

// watchStatus shows all rows, and then those that change, until it is interrupted.
func watchStatus(ctx context.Context, c *ctl, names []string) error {
	shown := map[string]row{}
	var last *client.Snapshot
	return c.control().Watch(ctx, func(s *client.Snapshot) error {
		since := last
		last = s
		if since == nil {
			rows, bad := chooseRows(s.Processes(), names)
			c.printBadNames(bad) // they may come yet
			for _, r := range rows {
				shown[r.Name] = r
			}
			return c.printChanges(rows, true)
		}
		return c.printChanges(changedRows(shown, s, s.Changed(since), names), false)
	})
}

// changedRows are the rows of those of some processes that are not as they are shown, and brings shown up to date.
func changedRows(shown map[string]row, s *client.Snapshot, processes, names []string) (changed []row) {
	for _, name := range processes {
		var rows []row
		if p := s.Process(name); p != nil {
			rows, _ = chooseRows([]client.Process{*p}, names)
		}
		was, known := shown[name]
		switch {
		case len(rows) > 0:
			shown[name] = rows[0]
			if !known || !same(was, rows[0]) {
				changed = append(changed, rows[0])
			}
		case known:
			delete(shown, name)
			was.State, was.StateCode, was.Description, was.PID = api.Stopped, int(api.Stopped), "removed", 0
			changed = append(changed, was)
		}
	}
	return changed
}

// same ignores what passes with time alone.
func same(a, b row) bool {
	return a.State == b.State && a.Machine == b.Machine && a.PID == b.PID && a.Token == b.Token && a.Waiting == b.Waiting &&
		a.Started.Equal(b.Started) && a.Want == b.Want && a.OutputHeld == b.OutputHeld && (a.Description == b.Description || b.State == api.Running)
}

func (c *ctl) printChanges(rows []row, first bool) error {
	if c.json {
		for _, r := range rows {
			if err := printLine(c.out, r); err != nil {
				return err
			}
		}
		return nil
	}
	if first {
		c.printRows(rows)
		return nil
	}
	for _, r := range rows {
		fmt.Fprintf(c.out, "%s  %s\n", time.Now().Format("15:04:05"), c.line(r, 30, utf8.RuneCountInString(orDash(r.Machine))))
	}
	return nil
}
