package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store/recovery"
)

// acceptTime is what the daemons may take to begin anew with a store that was accepted.
const acceptTime = 30 * time.Second

// acceptOptions say how a store that went back is accepted.
type acceptOptions struct {
	off []string // machines of which somebody vouches that they are off
	yes bool
}

// notSolo refuses a command for a distsuperd solo, whose store is in memory and read from its file at each start.
func (c *ctl) notSolo(command string) error {
	if c.opened != nil && c.deployment.oneMachine() {
		return usage(fmt.Errorf("%s is for a fleet: distsuperd solo keeps nothing but its configuration", command))
	}
	return nil
}

// recovering are the options with which the store is accepted.
func (c *ctl) recovering(off ...string) recovery.Options {
	return recovery.Options{KV: c.kv, Keys: c.keys, Clock: clock.Real{}, By: c.who, ID: rand.Text(), Off: off, Expand: spec.Processes, Fingerprint: spec.Fingerprint}
}

// accept makes a store count that went back. It waits until everything that is fenced and says nothing has ended, asks, and
// waits then until every daemon that refused the store has begun anew with it.
func (c *ctl) accept(ctx context.Context, o acceptOptions) (recovery.Plan, error) {
	if err := c.notSolo("init db --after-restore"); err != nil {
		return recovery.Plan{}, err
	}
	plan, err := c.awaitReports(ctx)
	if err != nil {
		return plan, err
	}
	if err := plan.Vouched(o.off); err != nil {
		return plan, orOff(err)
	}
	c.showPlan(plan)
	if err := c.confirm(o.yes, "Accept this etcd as it is?"); err != nil {
		return plan, err
	}
	if plan, err = recovery.Accept(ctx, c.recovering(o.off...)); err != nil {
		return plan, orOff(err)
	}
	c.printf("accepted; tokens go on from %d\n", plan.Floor)
	return plan, c.awaitDaemons(ctx)
}

// orOff adds to an error about silent machines what to do.
func orOff(err error) error {
	var silent *recovery.SilentError
	if !errors.As(err, &silent) {
		return err
	}
	return fmt.Errorf("%w; start their agents, or say that they are off with --off %s", err, strings.Join(silent.Machines, ","))
}

// awaitReports waits until nothing that is fenced and says nothing can be alive, and says who reports.
func (c *ctl) awaitReports(ctx context.Context) (plan recovery.Plan, err error) {
	began, said := time.Now(), "-"
	for {
		if plan, err = recovery.Look(ctx, c.recovering()); err != nil {
			return plan, err
		}
		left := time.Until(began.Add(plan.Wait))
		if now := reporters(plan); now != said {
			said = now
			c.progress("%s; waiting another %v, until what is fenced elsewhere has ended", now, max(left, 0).Round(time.Second))
		}
		if left <= 0 {
			return plan, nil
		}
		if !clock.Sleep(ctx, min(left, 500*time.Millisecond)) {
			return plan, ctx.Err()
		}
	}
}

// reporters says who refuses the store.
func reporters(p recovery.Plan) string {
	if text := refusing(p.Machines, p.Daemons); text != "" {
		return text
	}
	return "no daemon has said yet that it refuses this etcd"
}

// refusing says who refuses the store, "" for nobody.
func refusing(machines, controllers []string) string {
	var parts []string
	for _, s := range []struct {
		what  string
		names []string
	}{{"machines", machines}, {"controllers", controllers}} {
		if len(s.names) > 0 {
			parts = append(parts, s.what+" that refuse this etcd: "+strings.Join(s.names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// refusedText says who refuses the store, and the way out; "" when nobody does.
func refusedText(machines, controllers []string) string {
	text := refusing(machines, controllers)
	if text != "" {
		text += ": it was restored, wiped or exchanged; if that is meant, run distsuperctl init db --after-restore"
	}
	return text
}

// warnOfRefusals says who refuses the store, and the way out.
func (c *ctl) warnOfRefusals(ctx context.Context) error {
	plan, err := recovery.Look(ctx, c.recovering())
	if text := refusedText(plan.Machines, plan.Daemons); err == nil && text != "" {
		c.warnf("%s", text)
	}
	return err
}

// showPlan says what accepting the store comes to.
func (c *ctl) showPlan(p recovery.Plan) {
	var on []string
	for _, t := range p.Takeover {
		if !slices.Contains(p.Unknown, t.Process) {
			on = append(on, t.Process+" on "+t.Machine)
		}
	}
	for _, s := range []struct {
		what  string
		names []string
	}{
		{"run, and keep running", on},
		{"run, and will be stopped, since no program asks for them (to keep them, load their programs first)", p.Unknown},
		{"do not run, though etcd says so, and are placed again", p.Anew},
		{"machines that do not answer, and are taken to be off", p.Silent},
	} {
		if len(s.names) > 0 {
			c.printf("%s: %s\n", s.what, strings.Join(s.names, ", "))
		}
	}
}

// awaitDaemons waits until no daemon refuses the store any more.
func (c *ctl) awaitDaemons(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, acceptTime)
	defer cancel()
	for {
		plan, err := recovery.Look(ctx, c.recovering())
		if err == nil && len(plan.Machines)+len(plan.Daemons) == 0 {
			c.printf("every daemon that refused this etcd goes on with it\n")
			return nil
		}
		if !clock.Sleep(ctx, 200*time.Millisecond) {
			if err != nil {
				return err
			}
			return fmt.Errorf("%s; look at their logs, and run this again", reporters(plan))
		}
	}
}

// progress tells people on stderr how far something is.
func (c *ctl) progress(format string, args ...any) {
	if !c.json {
		c.warnf(format, args...)
	}
}
