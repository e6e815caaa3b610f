package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
)

func newMachines(c *ctl) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "machines",
		Short: "show machines: whether they are live, their processes, labels and versions",
		Long: `machines shows every machine that has joined and was not forgotten: whether its agent is live, how many processes are
placed there, its addresses and labels, the versions of its agent and keeper and whether they are the leader's, and what is
wrong with it.`,
		Example: "  distsuperctl machines\n  distsuperctl machines remove m3\n  distsuperctl machines remove --dead m3",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runMachines(cmd.Context(), c)
		},
	}
	cmd.AddCommand(newMachineRemove(c), newForget(c), newConfirmDead(c))
	return cmd
}

// machineRow is a machine as machines shows it, and its JSON.
type machineRow struct {
	Name         string            `json:"name"`
	State        string            `json:"state"` // live, dead, refuses etcd; with cordoned or draining behind
	Live         bool              `json:"live"`
	Cordoned     bool              `json:"cordoned"`
	Draining     bool              `json:"draining"`
	CordonedBy   string            `json:"cordoned_by,omitempty"`
	ConfirmedBy  string            `json:"confirmed_dead_by,omitempty"`
	Processes    int               `json:"processes"`
	MaxProcesses int               `json:"max_processes,omitempty"`
	Held         int               `json:"touches"`
	Starting     int               `json:"starting,omitempty"` // placed there, and not taken up yet
	Addresses    []string          `json:"addresses"`
	Labels       map[string]string `json:"labels"`
	Version      string            `json:"version"`
	Keeper       string            `json:"keeper_version,omitempty"`
	Differs      bool              `json:"version_differs,omitempty"` // agent or keeper are of another version than the controllers
	SingleServer string            `json:"single_server,omitempty"`   // the controller with whose host the fleet's only server is lost, which ends processes
	API          string            `json:"api,omitempty"`
	Host         string            `json:"host,omitempty"`
	Instance     string            `json:"instance,omitempty"`
	Since        time.Time         `json:"since,omitzero"`
	Silent       time.Time         `json:"silent_since,omitzero"` // it is live, and has not renewed its lease since
	Losses       int               `json:"losses,omitempty"`      // in a row
	Lost         time.Time         `json:"lost_last,omitzero"`
	Avoided      int               `json:"avoided_seconds,omitempty"` // that are left
	// Trouble is why starts fail there, TroubleSince since when, and TriedAgain when one is tried again.
	Trouble      string    `json:"trouble,omitempty"`
	TroubleSince time.Time `json:"trouble_since,omitzero"`
	TriedAgain   time.Time `json:"tried_again,omitzero"`
	Warning      string    `json:"warning,omitempty"`
	Refuses      bool      `json:"refuses_etcd,omitempty"` // since it went back; what runs there goes on
}

func machineRowOf(m client.Machine, now time.Time) machineRow {
	r := machineRow{Name: m.Name, State: "dead", Processes: m.Placed, Held: m.Touched, Addresses: []string{}, Labels: map[string]string{}}
	if i := m.Info; i != nil {
		r.MaxProcesses, r.Version, r.Keeper, r.API, r.Warning = i.MaxProcesses, i.Version, i.KeeperVersion, i.API, i.Warning
		r.Addresses = append(r.Addresses, i.Addresses...)
		maps.Copy(r.Labels, i.Labels)
	}
	if a := m.Alive; a != nil {
		r.Live, r.State, r.Host, r.Instance, r.Since = true, "live", a.Host, a.Instance, a.Since
	}
	if d := m.Dead; d != nil && m.Alive == nil {
		r.ConfirmedBy = d.By
		r.State = "dead (confirmed)"
	}
	if k := m.Cordon; k != nil {
		r.CordonedBy = k.By
		if k.Drain {
			r.Draining = true
			r.State += ", draining"
		} else {
			r.Cordoned = true
			r.State += ", cordoned"
		}
	}
	if n := m.Placed - m.Touched; r.Live && n > 0 {
		r.Starting = n
		r.State += fmt.Sprintf(", starting %d", n)
	}
	if l := m.Losses; l != nil {
		r.Losses, r.Lost = l.Count, l.Last
		if left := r.Since.Add(time.Duration(l.Wait) * time.Second).Sub(now); r.Live && left > 0 {
			r.Avoided = int(left.Round(time.Second) / time.Second)
			r.State += fmt.Sprintf(", avoided for %d s (lost %s)", r.Avoided, plural(l.Count, "time"))
		}
	}
	if t := m.Trouble; t != nil && t.Over.IsZero() && r.Live {
		r.Trouble, r.TroubleSince, r.TriedAgain = t.Why, t.Since, t.Last.Add(time.Duration(t.Wait)*time.Second)
		r.State += ", avoided"
	}
	return r
}

// versions are those of agent and keeper, one where they are the same.
func (r machineRow) versions() string {
	if r.Keeper == "" || r.Keeper == r.Version {
		return r.Version
	}
	return r.Version + ", keeper " + r.Keeper
}

// differs says what is of another version than a controller, "" when nothing is. Of a machine that is not live it says nothing.
func (r machineRow) differs(d api.Controller) string {
	var what []string
	if r.Version != d.Version {
		what = append(what, "agent")
	}
	if r.Keeper != "" && r.Keeper != d.Version {
		what = append(what, "keeper")
	}
	if !r.Live || d.Version == "" || len(what) == 0 {
		return ""
	}
	return fmt.Sprintf("%s of another version than controller %s (%s)", strings.Join(what, " and "), d.ID, d.Version)
}

// troubleText says why and how long a machine is avoided on which starts fail; "" when none is.
func (r machineRow) troubleText(now time.Time) string {
	if r.Trouble == "" {
		return ""
	}
	text := fmt.Sprintf("starts fail there %s: %s", client.Since(r.TroubleSince, now), r.Trouble)
	if left := r.TriedAgain.Sub(now).Round(time.Second); left > 0 {
		return fmt.Sprintf("%s; one is tried again in %v", text, left)
	}
	return text + "; the next process that is placed there tries it again"
}

func runMachines(ctx context.Context, c *ctl) error {
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	list := []machineRow{}
	var rows [][]string
	silent := c.silentMachines(ctx, snap)
	refusals, err := c.client.Refusals(ctx, snap)
	if err != nil {
		return err
	}
	if text := refusedText(refusals.Machines, refusals.Controllers); text != "" {
		c.warnf("warning: %s", text)
	}
	servers := c.warnServers(ctx, c.members(ctx), timeoutsOf(snap.Processes()))
	controllers, err := c.leads(ctx)
	if err != nil {
		return err
	}
	for _, m := range snap.Machines() {
		r := machineRowOf(m, time.Now())
		r.SingleServer = servers.Only()
		differs := r.differs(controllers)
		r.Differs = differs != ""
		r.Silent = silent[m.Name]
		if r.Refuses = slices.Contains(refusals.Machines, m.Name); r.Refuses {
			r.State = "refuses etcd"
		}
		list = append(list, r)
		state := r.State
		if !r.Silent.IsZero() {
			state += ", silent " + client.Since(r.Silent, time.Now())
		}
		if !r.Live && !r.Lost.IsZero() {
			state += ", lost " + client.Since(r.Lost, time.Now())
		}
		processes := strconv.Itoa(r.Processes)
		if r.MaxProcesses > 0 {
			processes += "/" + strconv.Itoa(r.MaxProcesses)
		}
		rows = append(rows, []string{r.Name, state, processes, orDash(labels(r.Labels)), orDash(strings.Join(r.Addresses, ",")), orDash(r.versions()), notes(r.troubleText(time.Now()), differs, r.Warning)})
	}
	if c.json {
		return printJSON(c.out, list)
	}
	if len(rows) == 0 {
		c.printf("no machine has joined yet; run distsuperagent start on one\n")
		return nil
	}
	return table(c.out, []string{"MACHINE", "STATE", "PROCESSES", "LABELS", "ADDRESSES", "VERSION", ""}, rows)
}

// notes joins what there is to be said of a machine.
func notes(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), "; ")
}

func labels(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

func newForget(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "forget MACHINE",
		Short: "remove what is known about a machine that is gone and holds nothing",
		Long: `forget removes what is known about a machine. It refuses while the machine is live or may still hold a process; remove
sees to both first. If the machine comes back, it joins again.`,
		Example: "  distsuperctl machines forget m3", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: c.completeMachines,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runForget(cmd.Context(), c, args[0])
		},
	}
}

func runForget(ctx context.Context, c *ctl, machine string) error {
	if err := c.client.Forget(ctx, machine); err != nil {
		return c.explainMachine(ctx, machine, err)
	}
	return c.done(machine, "forgotten", true)
}

// done says what was done to a machine.
func (c *ctl) done(machine, what string, changed bool) error {
	if c.json {
		return printJSON(c.out, map[string]any{"machine": machine, "result": what, "changed": changed})
	}
	if !changed {
		what = "already " + what
	}
	c.printf("%s: %s\n", machine, what)
	return nil
}

// explainMachine adds the nearest name to the error of an unknown machine.
func (c *ctl) explainMachine(ctx context.Context, machine string, err error) error {
	if !errors.Is(err, client.ErrNotFound) {
		return err
	}
	snap, serr := c.client.Snapshot(ctx)
	if serr != nil {
		return err
	}
	if len(snap.Machines()) == 0 {
		return fmt.Errorf("machine %s is not known; no machine has joined yet", machine)
	}
	return fmt.Errorf("machine %s is not known; known are %s", machine, machineNames(snap.Machines()))
}

func newConfirmDead(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "confirm-dead MACHINE",
		Short: "confirm that a machine is off, so that the processes it kept move",
		Long: `confirm-dead says that you have made sure that a machine which does not answer is off. Its processes with
on_partition = keep, which run on without etcd, move then. If the machine still runs them, there are two copies, so look
at its power switch or console first. Other processes move by themselves.`,
		Example: "  distsuperctl machines confirm-dead m3", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: c.completeMachines,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runConfirmDead(cmd.Context(), c, args[0])
		},
	}
}

func runConfirmDead(ctx context.Context, c *ctl, machine string) error {
	processes, err := c.client.ConfirmDead(ctx, machine)
	if err != nil {
		return c.explainMachine(ctx, machine, err)
	}
	if c.json {
		return printJSON(c.out, map[string]any{"machine": machine, "result": "confirmed dead", "changed": len(processes) > 0, "processes": orEmpty(processes)})
	}
	if len(processes) == 0 {
		c.printf("%s: nothing waits for its death to be confirmed\n", machine)
		return nil
	}
	c.printf("%s: confirmed dead by %s; these may run elsewhere now: %s\n", machine, c.who, strings.Join(processes, ", "))
	return nil
}
