package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// asker asks for something for processes and names those for which that changed what is wanted.
type asker func(context.Context, []string) ([]string, error)

// verb is one of start, stop and restart, and what else is done process by process.
type verb struct {
	ask   asker
	judge func(*client.Process) verdict
	// already judges by what a process was before, and whether the wish changed anything; nil waits for all. Of "all", of
	// groups and of patterns it is not said.
	already func(p *client.Process, changed bool) (supervisor.Fault, bool)
	word    string // "started"
	asked   string // what is said with --no-wait
	exit    func(supervisor.Fault) int
	noGroup int // exit code for an unknown group
}

// runVerb asks for something and waits for it.
func runVerb(ctx context.Context, c *ctl, o waitOptions, names []string, v verb) error {
	o.begin()
	r, err := askFor(ctx, c, names, v)
	if err != nil {
		return err
	}
	if err := r.settle(ctx, o); err != nil {
		return err
	}
	return r.finish()
}

// askFor finds what the names mean and asks for it.
func askFor(ctx context.Context, c *ctl, names []string, v verb) (*results, error) {
	before, err := c.client.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	r := newResults(c, before, c.chooseBatches(before, names), v)
	var found []string
	for _, b := range r.batches {
		found = append(found, b.processes...)
	}
	r.changed, err = v.ask(ctx, found)
	return r, err
}

// chooseBatches finds the loaded processes that names mean, in the order in which supervisor takes them, and helps with
// bad names. Of a solo each process is a batch, so that the order of lines is always the same; on a fleet what takes long
// keeps nobody waiting.
func (c *ctl) chooseBatches(snap *client.Snapshot, names []string) (out []batch) {
	all := loaded(snap.Processes)
	slices.SortStableFunc(all, func(a, b client.Process) int {
		return a.Spec.Rank().Compare(b.Spec.Rank())
	})
	for _, b := range selectBatches(all, names) {
		if b.bad != nil {
			c.hint(*b.bad)
		}
		if !c.solo || len(b.processes) < 2 {
			out = append(out, b)
			continue
		}
		for _, name := range b.processes {
			out = append(out, batch{name: b.name, processes: []string{name}, many: b.many})
		}
	}
	if len(all) == 0 {
		c.warnf("distsuperctl: there is no process at all; see distsuperctl load")
	}
	return out
}

// loaded are the processes that a program asks for.
func loaded(processes []client.Process) []client.Process {
	return slices.DeleteFunc(slices.Clone(processes), func(p client.Process) bool { return p.Spec == nil })
}

// results prints what became of each process, and keeps the exit code. It is told as soon as it is known, but in the
// order of the names on the command line: what several of them mean waits for those before.
type results struct {
	c       *ctl
	verb    verb
	before  *client.Snapshot
	batches []batch
	changed []string

	of    map[string]int // the batch of a process
	open  []int          // how many outcomes of a batch are not known yet
	held  [][]outcome    // what is known of a batch, and not told yet
	told  int            // batches that are told whole
	list  []result
	code  int
	fails []string // processes that are out of it
}

// outcome is a line to be said, the exit code that it brings, and its JSON.
type outcome struct {
	line string // "" says nothing
	hint string // for stderr
	code int
	result
}

func newResults(c *ctl, before *client.Snapshot, batches []batch, v verb) *results {
	r := &results{c: c, verb: v, before: before, batches: batches, of: map[string]int{},
		open: make([]int, len(batches)), held: make([][]outcome, len(batches))}
	for i, b := range batches {
		r.open[i] = len(b.processes)
		if b.bad != nil {
			r.open[i]++
		}
		for _, name := range b.processes {
			r.of[name] = i
		}
	}
	return r
}

// settle tells what is known already, and waits for the rest.
func (r *results) settle(ctx context.Context, o waitOptions) error {
	var wait []string
	r.each(func(b batch, p *client.Process) (verdict, bool) {
		if r.verb.already != nil {
			if fault, is := r.verb.already(p, slices.Contains(r.changed, p.Name)); is {
				return over(fault, ""), b.many
			}
		}
		if !o.noWait {
			wait = append(wait, p.Name)
			return verdict{}, false
		}
		r.asked(p.Name, p)
		return verdict{}, false
	})
	err := r.c.wait(ctx, o, wait, r.verb.judge, r.add)
	if err != nil {
		r.tellRest()
	}
	return err
}

// each goes over all names. do says what became of a process, and whether that is silent; a verdict that is not
// done comes later, by add.
func (r *results) each(do func(batch, *client.Process) (v verdict, silent bool)) {
	for i, b := range r.batches {
		if b.bad != nil {
			r.open[i]--
			r.hold(i, r.badOutcome(*b.bad))
		}
		for _, name := range b.processes {
			p := r.before.Process(name)
			v, silent := do(b, p)
			if !v.done {
				continue
			}
			out := r.outcome(name, p, v)
			if silent {
				out.line, out.code = "", exitOK
			}
			r.open[i]--
			r.hold(i, out)
		}
		r.flush()
	}
}

// hold keeps an outcome until it is its turn.
func (r *results) hold(batch int, out outcome) {
	r.held[batch] = append(r.held[batch], out)
}

// flush tells what it is the turn of.
func (r *results) flush() {
	for ; r.told < len(r.batches); r.told++ {
		r.tell(r.told)
		if r.open[r.told] > 0 {
			return
		}
	}
}

// tellRest tells out of turn what else is known: nothing more will come.
func (r *results) tellRest() {
	for i := range r.batches {
		r.tell(i)
	}
}

func (r *results) tell(batch int) {
	for _, out := range r.held[batch] {
		if out.line != "" {
			r.c.printf("%s\n", out.line)
		}
		if out.hint != "" {
			r.c.warnf("distsuperctl: %s", out.hint)
		}
		if out.code != exitOK {
			r.code = out.code
		}
		r.list = append(r.list, out.result)
	}
	r.held[batch] = nil
}

// add takes what became of a process.
func (r *results) add(name string, p *client.Process, v verdict) {
	if v.fault != supervisor.Success {
		r.fails = append(r.fails, name)
	}
	i := r.of[name]
	r.open[i]--
	r.hold(i, r.outcome(name, p, v))
	r.flush()
}

// asked says that nobody waits for a process.
func (r *results) asked(name string, p *client.Process) {
	res := r.result(name, p)
	res.OK, res.Result = true, r.verb.asked
	if !res.Changed {
		res.Result = "already asked"
	}
	i := r.of[name]
	r.open[i]--
	r.hold(i, outcome{line: name + ": " + res.Result, result: res})
	r.flush()
}

func (r *results) badOutcome(b badName) outcome {
	code, text := exitGeneric, supervisor.ResultText(supervisor.BadName)
	if b.Group {
		code, text = r.verb.noGroup, noSuchGroup
	}
	return outcome{line: b.Line(), code: code, result: result{Process: b.Name, Result: text, fault: supervisor.BadName}}
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

// outcome is supervisorctl's line. Why something failed follows it; of a solo, whose lines are supervisorctl's to the letter,
// on stderr.
func (r *results) outcome(name string, p *client.Process, v verdict) outcome {
	out := outcome{code: r.verb.exit(v.fault), result: r.result(name, p)}
	out.Reason = v.text
	if v.fault == supervisor.Success {
		out.OK, out.Result = true, r.verb.word
		out.line = name + ": " + r.verb.word
		return out
	}
	out.OK = out.code == exitOK
	out.Result = faultText(v.fault)
	out.line = fmt.Sprintf("%s: ERROR (%s)", name, out.Result)
	switch {
	case v.text == "":
	case r.c.solo:
		out.hint = name + ": " + v.text
	default:
		out.line += ": " + v.text
	}
	return out
}

// faultText is supervisor's word; what has none there is "failed".
func faultText(f supervisor.Fault) string {
	if f == supervisor.Failed {
		return "failed"
	}
	return supervisor.ResultText(f)
}

// then goes on with the processes that have not failed, for another part of the same wish.
func (r *results) then(v verb) *results {
	batches := slices.Clone(r.batches)
	for i := range batches {
		batches[i].processes = slices.DeleteFunc(slices.Clone(batches[i].processes), func(name string) bool {
			return slices.Contains(r.fails, name)
		})
	}
	next := newResults(r.c, r.before, batches, v)
	next.changed, next.code = r.changed, r.code
	next.list = slices.DeleteFunc(r.list, func(res result) bool { return !slices.Contains(r.fails, res.Process) })
	return next
}

func (r *results) finish() error {
	if r.c.json {
		if err := printJSON(r.c.out, r.list); err != nil {
			return err
		}
	}
	return failed(r.code)
}
