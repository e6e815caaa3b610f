package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

func newStart(c *ctl) *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "start NAME...",
		Short: "start processes, and wait until they run",
		Long: `start asks for processes to run and waits until each is RUNNING or has failed. Waiting ends, and the
wish stays, when no machine can take a process or no controller answers. A process that has EXITED
or is FATAL is started again.`,
		Example:           "  distsuperctl start web\n  distsuperctl start 'web:*' mailer --timeout 30s\n  distsuperctl start all --no-wait",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runStart(cmd.Context(), c, o, args)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

// verb is one of start, stop and restart.
type verb struct {
	ask   func(context.Context, []string) ([]string, error)
	judge func(*client.Process) verdict
	// already judges what the wish did not change, by what it was before; nil waits for it like for all.
	already func(*client.Process) (supervisor.Fault, bool)
	// first is a line before the last one, by what the process was before; nil is none.
	first   func(before *client.Process) string
	word    string // "started"
	asked   string // what is said with --no-wait
	exit    func(supervisor.Fault) int
	noGroup int // exit code for an unknown group
}

func runStart(ctx context.Context, c *ctl, o waitOptions, names []string) error {
	return runVerb(ctx, c, o, names, verb{
		ask: c.client.StartProcesses, judge: judgeStart, word: "started", asked: "start asked",
		already: func(p *client.Process) (supervisor.Fault, bool) {
			return supervisor.AlreadyStarted, p.State == api.Running
		},
		exit: supervisor.StartExit, noGroup: exitUsage,
	})
}

// runVerb asks for something and waits for it.
func runVerb(ctx context.Context, c *ctl, o waitOptions, names []string, v verb) error {
	before, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	found, bad := selectNames(loaded(before.Processes), names)
	c.tellBad(bad)
	r := &results{c: c, verb: v, before: before}
	for _, b := range bad {
		r.bad(b)
	}
	if len(found) == 0 && len(bad) == 0 {
		return errNothing
	}
	changed, err := v.ask(ctx, found)
	r.changed = changed
	if err != nil {
		return err
	}
	var wait []string
	for _, name := range found {
		p := before.Process(name)
		if v.already != nil && !slices.Contains(changed, name) {
			if fault, is := v.already(p); is {
				r.add(name, p, over(fault, ""))
				continue
			}
		}
		if o.noWait {
			r.asked(name, p)
			continue
		}
		wait = append(wait, name)
	}
	if err := c.wait(ctx, o, wait, v.judge, r.add); err != nil {
		return err
	}
	return r.finish()
}

// loaded are the processes that a program asks for.
func loaded(processes []client.Process) []client.Process {
	return slices.DeleteFunc(slices.Clone(processes), func(p client.Process) bool { return p.Spec == nil })
}

// results prints what became of each process as soon as it is known, and keeps the exit code.
type results struct {
	c       *ctl
	verb    verb
	before  *client.Snapshot
	changed []string
	list    []result
	code    int
}

func (r *results) bad(b badName) {
	code := exitGeneric
	if b.Group {
		code = r.verb.noGroup
	}
	r.code = code
	r.list = append(r.list, result{Process: b.Name, Result: supervisor.ResultText(supervisor.BadName), fault: supervisor.BadName})
}

func (r *results) asked(name string, p *client.Process) {
	res := r.result(name, p)
	res.OK, res.Result = true, r.verb.asked
	if !res.Changed {
		res.Result = "already asked"
	}
	r.c.printf("%s: %s\n", name, res.Result)
	r.list = append(r.list, res)
}

func (r *results) result(name string, p *client.Process) result {
	res := result{Process: name, Changed: slices.Contains(r.changed, name)}
	if p != nil {
		res.State = p.State.String()
		if p.Owner != nil {
			res.Machine = p.Owner.Machine
		}
	}
	return res
}

func (r *results) add(name string, p *client.Process, v verdict) {
	res := r.result(name, p)
	res.Reason = v.text
	if code := r.verb.exit(v.fault); code != exitOK {
		r.code = code
	}
	if before := r.before.Process(name); r.verb.first != nil && before != nil {
		r.c.printf("%s: %s\n", name, r.verb.first(before))
	}
	if v.fault == supervisor.Success {
		res.OK, res.Result = true, r.verb.word
		r.c.printf("%s: %s\n", name, r.verb.word)
	} else {
		res.OK = r.verb.exit(v.fault) == exitOK
		res.Result = faultText(v.fault)
		r.c.printf("%s: ERROR (%s)%s\n", name, res.Result, reason(v.text))
	}
	r.list = append(r.list, res)
}

// faultText is supervisor's word; what has none there is "failed".
func faultText(f supervisor.Fault) string {
	if f == supervisor.Failed {
		return "failed"
	}
	return supervisor.ResultText(f)
}

func reason(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func (r *results) finish() error {
	if r.c.json {
		if err := printJSON(r.c.out, r.list); err != nil {
			return err
		}
	}
	return failed(r.code)
}
