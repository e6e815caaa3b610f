package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
)

// whyRow is the JSON of why.
type whyRow struct {
	Process     string             `json:"process"`
	State       api.State          `json:"state"`
	Reason      string             `json:"reason"`
	Want        api.Want           `json:"want"`
	AskedBy     string             `json:"asked_by,omitempty"`
	AskedAt     time.Time          `json:"asked_at,omitzero"`
	Removed     bool               `json:"being_removed,omitempty"`
	Machine     string             `json:"machine,omitempty"`
	Live        bool               `json:"machine_live"`
	Token       int64              `json:"token,omitempty"`
	Placed      bool               `json:"placed"`
	PlacedAt    time.Time          `json:"decided_at,omitzero"`
	Decision    string             `json:"decision,omitempty"`
	MoveRefused api.MoveRefused    `json:"move_refused,omitempty"`
	Rejected    map[string]string  `json:"rejected,omitempty"`
	Failed      []string           `json:"failed,omitempty"`
	Proof       api.Proof          `json:"proof,omitempty"`
	WaitingFor  api.WaitingFor     `json:"waiting_for,omitempty"`
	Waiting     string             `json:"waiting,omitempty"`
	Touched     bool               `json:"touched"`
	TouchLeft   *int64             `json:"touch_seconds_left,omitempty"`
	Partition   string             `json:"on_partition,omitempty"`
	Status      *api.Status        `json:"status,omitempty"`
	History     []api.HistoryEntry `json:"history"`
	// HeldBy are the controllers by whose promise it goes on without etcd, which answered last at HeldSince, until HeldUntil at most.
	HeldBy    []string  `json:"held_by,omitempty"`
	HeldSince time.Time `json:"held_since,omitzero"`
	HeldUntil time.Time `json:"held_until,omitzero"`
	AsOf      string    `json:"as_of,omitempty"` // whose knowledge it is while etcd is silent, and how old
}

func newWhy(c *ctl) *cobra.Command {
	machine := ""
	cmd := &cobra.Command{
		Use:   "why NAME",
		Short: "explain why a process is where it is, and in this state",
		Long: `why shows what was asked of a process and by whom, the leader's last decision with the reason why each machine was
or was not chosen, how the leader knew that the previous run was dead, the touch, and what happened last.

While etcd is silent or full, --machine asks the agent of that machine what it has of the process, and what becomes of it.`,
		Example: "  distsuperctl why web:web_1\n  distsuperctl why web:web_1 --machine m1", Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.openOrAsk(cmd, machine); err != nil {
				return err
			}
			if c.away != nil {
				return whyOfAgent(cmd.Context(), c, machine, args[0])
			}
			return runWhy(cmd.Context(), c, args[0])
		},
	}
	cmd.Flags().StringVar(&machine, "machine", "", "while etcd is silent or full, ask this machine")
	_ = cmd.RegisterFlagCompletionFunc("machine", c.completeMachines) // it fails only for a flag that is not there
	return cmd
}

// whyOfAgent shows what a machine itself has of a process.
func whyOfAgent(ctx context.Context, c *ctl, machine, name string) error {
	a, err := c.askMachine(ctx, machine)
	if err != nil {
		return err
	}
	p, err := control.One(a.processes(machine, time.Now()), name)
	if err != nil {
		return c.badNameError(err)
	}
	w := whyOf(*p)
	w.Want, w.AsOf = "", a.mark()
	held := w.hold(a)
	if c.json {
		return printJSON(c.out, w)
	}
	c.printf("%s\n", a.mark())
	if err := facts(c.out, "process", w.Process, "state", strings.TrimSpace(w.State.String()+" "+w.Reason), "machine", w.Machine,
		"token", fmt.Sprint(w.Token)); err != nil {
		return err
	}
	for _, line := range slices.Concat(held, lastCopy(w.Status), a.remarks()) {
		c.printf("%s\n", line)
	}
	return nil
}

// hold takes in by whose promise the process goes on, and returns the line that says so; none when it does not.
func (w *whyRow) hold(a agentSays) []string {
	at := slices.IndexFunc(a.runs, func(r rpc.Run) bool { return r.ID == w.Process })
	if at < 0 || a.runs[at].Fate != contact.Held || a.health.Contact == nil {
		return nil
	}
	by, left := *a.health.Contact, time.Duration(a.runs[at].LeftMillis)*time.Millisecond
	w.HeldBy, w.HeldSince, w.HeldUntil = by.Controllers, by.Answered(), by.At.Add(left)
	return []string{by.HeldBy(left)}
}

func runWhy(ctx context.Context, c *ctl, name string) error {
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	p, err := control.One(snap.Processes(), name)
	if err != nil {
		return c.badNameError(err)
	}
	w := whyOf(*p)
	w.Reason = with(w.Reason, c.doubts(ctx, snap, []string{p.Name})[p.Name])
	if p.Touch != nil && p.Lease != 0 {
		if left, err := c.kv.TimeToLive(ctx, p.Lease); err == nil {
			w.TouchLeft = &left
		}
	}
	if w.History, err = c.history(ctx, historyFilter{subject: store.ProcessSubject(p.Name)}, 10); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, w)
	}
	return c.printWhy(w, w.Machine != "" && snap.Machine(w.Machine) == nil)
}

func whyOf(p client.Process) whyRow {
	w := whyRow{Process: p.Name, State: p.State, Reason: p.Text, Want: api.WantStop, Removed: p.BeingRemoved(), Live: p.Live,
		Touched: p.Touch != nil, Status: p.Status}
	if i := p.Intent; i != nil {
		w.Want, w.AskedBy, w.AskedAt = i.Want, i.By, i.At
	}
	if o := p.Owner; o != nil {
		w.Machine, w.Token, w.Placed, w.PlacedAt, w.Decision = o.Machine, o.Token, o.Placed, o.At, o.Reason
		w.MoveRefused, w.Rejected, w.Failed, w.Proof = o.MoveRefused, o.Rejected, o.Failed, o.Proof
		w.WaitingFor, w.Waiting = o.WaitingFor, o.Waiting
	}
	switch {
	case p.Placement != nil:
		w.Partition = string(p.Placement.OnPartition)
		if p.Placement.Written {
			w.Partition += " (as the program says)"
		}
	case p.Status != nil:
		w.Partition = string(p.Status.OnPartition)
	}
	return w
}

// printWhy prints it for people. removed: its machine was, from the fleet.
func (c *ctl) printWhy(w whyRow, removed bool) error {
	if err := c.printFacts(w, removed); err != nil {
		return err
	}
	for _, line := range lastCopy(w.Status) {
		c.printf("%s\n", line)
	}
	if len(w.Rejected) > 0 {
		c.printf("\nnot taken:\n")
		for _, m := range slices.Sorted(maps.Keys(w.Rejected)) {
			c.printf("  %s: %s\n", m, w.Rejected[m])
		}
	}
	if len(w.History) > 0 {
		c.printf("\nhistory:\n")
		for _, e := range w.History {
			c.printf("  %s\n", historyLine(e))
		}
	}
	return nil
}

// printFacts says what is wanted of a process and what stands about it in etcd, each in a line.
func (c *ctl) printFacts(w whyRow, removed bool) error {
	asked := string(w.Want)
	if w.AskedBy != "" {
		asked += ", asked by " + w.AskedBy + " at " + moment(w.AskedAt)
	}
	if w.Removed {
		asked += ", since no program asks for it any more; it goes once it is down"
	}
	machine := w.Machine
	switch {
	case removed:
		machine += " (removed since)"
	case machine != "" && !w.Live:
		machine += " (not live)"
	}
	token := ""
	if w.Token != 0 {
		token = fmt.Sprint(w.Token)
	}
	touch := "none"
	if w.Touched {
		touch = "stands"
		if w.TouchLeft != nil {
			touch += fmt.Sprintf(", %d s of its lease are left", *w.TouchLeft)
		}
	}
	output := ""
	if w.Status != nil {
		output = strings.TrimPrefix(w.Status.HeldText(), "output ")
	}
	decision := ""
	if w.Machine != "" && w.Decision != "" { // before the first machine there is but what it waits for, which the state has
		decision = w.Decision + " (" + moment(w.PlacedAt) + ")"
	}
	return facts(c.out, "process", w.Process, "state", strings.TrimSpace(w.State.String()+" "+w.Reason), "wanted", asked,
		"machine", machine, "token", token, "decision", decision,
		"proof", proofText(w.Proof), "failed on", strings.Join(w.Failed, ", "), "touch", touch, "on_partition", w.Partition, "output", output)
}

func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") }

// proofText says how the leader knew that the run before was dead.
func proofText(p api.Proof) string {
	if p == api.ProofNone {
		return ""
	}
	return "the run before was dead: " + string(p)
}

// lastCopy tells the times of the last copy.
func lastCopy(s *api.Status) (lines []string) {
	if s == nil {
		return nil
	}
	if !s.Started.IsZero() {
		lines = append(lines, "started       "+moment(s.Started))
	}
	if !s.Stopped.IsZero() {
		line := "ended         " + moment(s.Stopped)
		switch {
		case s.Signal != "":
			line += ", by signal " + s.Signal
		case s.Exit != nil:
			line += fmt.Sprintf(", with status %d", *s.Exit)
		}
		if s.FencedMillis > 0 {
			line += ", stopped since there was " + contact.NoRenewal(time.Duration(s.FencedMillis)*time.Millisecond)
		}
		lines = append(lines, line)
	}
	return lines
}
