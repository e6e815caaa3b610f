package control

import (
	"context"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// command is what is done for one verb.
type command struct {
	verb Verb
	// goal ends waiting; nil is for a verb without waiting.
	goal Goal
	// done reports whether there is nothing to wait for, and what became of such a process. It is given the process as it was
	// before, and whether the request changed what is wanted of it. Nil waits for all.
	done func(p *client.Process, changed bool) Check
}

// subject is the processes that a command is about, as they were before.
type subject struct {
	before  *client.Snapshot
	latest  *client.Snapshot // as they were seen last, with what was asked of them
	batches []Batch
	changed []string // those of which the request changed what is wanted
}

// names are the names of all its processes.
func (s *subject) names() (out []string) {
	for _, b := range s.batches {
		out = append(out, b.Processes...)
	}
	return out
}

// without is the subject but for some processes.
func (s *subject) without(names []string) *subject {
	out := *s
	out.batches = slices.Clone(s.batches)
	for i, b := range s.batches {
		out.batches[i].Processes = slices.DeleteFunc(slices.Clone(b.Processes), func(name string) bool { return slices.Contains(names, name) })
	}
	return &out
}

// find looks for the processes that names mean, in the order in which supervisor takes them.
func (c *Control) find(ctx context.Context, names []string) (*subject, error) {
	before, err := c.client.Look(ctx, names...)
	if err != nil {
		return nil, err
	}
	s := &subject{before: before, latest: before}
	for _, b := range Batches(inOrder(before.Processes()), names) {
		if !c.o.InOrder || len(b.Processes) < 2 {
			s.batches = append(s.batches, b)
			continue
		}
		for _, name := range b.Processes {
			s.batches = append(s.batches, Batch{Name: b.Name, Processes: []string{name}, Many: b.Many})
		}
	}
	return s, nil
}

// requester is StartFrom of a client, or its like.
type requester func(ctx context.Context, seen *client.Snapshot, processes []string) (changed []string, after *client.Snapshot, err error)

// ask finds the processes that names mean and asks for something, but of those that are being removed, which are stopping, and
// of those whose program cannot be read: nothing else can be had of them. request names those that it changed.
func (c *Control) ask(ctx context.Context, names []string, request requester) (*subject, error) {
	s, err := c.find(ctx, names)
	if err != nil {
		return nil, err
	}
	fixed := func(name string) bool {
		p := s.before.Process(name)
		return p.BeingRemoved() || p.Unreadable != ""
	}
	if names := slices.DeleteFunc(s.names(), fixed); len(names) > 0 {
		s.changed, s.latest, err = request(ctx, s.before, names)
	}
	return s, err
}

// Start asks for processes to run, and waits for that.
func (c *Control) Start(ctx context.Context, names []string, w Wait, report func(Outcome)) error {
	l := w.begin()
	s, err := c.ask(ctx, names, c.client.StartFrom)
	if err != nil {
		return err
	}
	_, err = c.settle(ctx, s, l, command{verb: Start, goal: c.running(), done: func(p *client.Process, changed bool) Check {
		switch {
		case p.BeingRemoved():
			return noStart()
		case !changed && c.started(p):
			return ended(supervisor.AlreadyStarted, "")
		}
		return Check{}
	}}, report)
	return err
}

// noStart is the answer to whoever wants to start what is being removed: supervisord's, for a process that is stopping.
func noStart() Check {
	return ended(supervisor.AbnormalTermination, "it is being removed, since no program asks for it any more")
}

// running is the goal of a start.
func (c *Control) running() Goal {
	if c.o.FirstTryTells {
		return FirstTry
	}
	return Running
}

// started reports whether a process runs already; where the first try tells, that counts as well.
func (c *Control) started(p *client.Process) bool {
	return p.State == api.Running || c.o.FirstTryTells && p.Status != nil && (p.State == api.Starting || p.State == api.Backoff)
}

// Stop asks for processes not to run, and waits until they are down.
func (c *Control) Stop(ctx context.Context, names []string, w Wait, report func(Outcome)) error {
	l := w.begin()
	s, err := c.ask(ctx, names, c.client.StopFrom)
	if err != nil {
		return err
	}
	_, err = c.settle(ctx, s, l, command{verb: Stop, goal: Down, done: func(p *client.Process, changed bool) Check {
		// What waits for a machine is wanted, and so there is something to stop.
		if isDown(p) && (!changed || p.State != api.Stopped) {
			return ended(supervisor.NotRunning, "")
		}
		return Check{}
	}}, report)
	return err
}

// Restart asks for one restart, and reports it as supervisorctl does: first all stops, then the starts of what has stopped.
func (c *Control) Restart(ctx context.Context, names []string, w Wait, report func(Outcome)) error {
	l := w.begin()
	s, err := c.ask(ctx, names, c.client.RestartFrom)
	if err != nil {
		return err
	}
	noRestart := func(p *client.Process, _ bool) Check {
		if p.BeingRemoved() {
			return noStart()
		}
		return Check{}
	}
	if w.Not {
		_, err = c.settle(ctx, s, l, command{verb: Restart, done: noRestart}, report)
		return err
	}
	failed, err := c.settle(ctx, s, l, command{verb: Stop, goal: Replaced(s.before), done: func(p *client.Process, _ bool) Check {
		if p.BeingRemoved() || isDown(p) { // whose start is refused, that is not waited for
			return ended(supervisor.NotRunning, "")
		}
		return Check{}
	}}, report)
	if err != nil {
		return err
	}
	_, err = c.settle(ctx, s.without(failed), l, command{verb: Start, goal: c.running(), done: noRestart}, report)
	return err
}

// settle reports what is known already, waits for the rest, and returns the names of those that failed to reach the goal.
func (c *Control) settle(ctx context.Context, s *subject, l limit, cmd command, report func(Outcome)) (failed []string, err error) {
	order := newSequence(s.batches, report)
	var wait []string
	for i, b := range s.batches {
		if b.Bad != nil {
			order.addTo(i, badOutcome(cmd.verb, b.Bad))
		}
		for _, name := range b.Processes {
			o := s.outcome(cmd.verb, name)
			var known Check
			if cmd.done != nil {
				known = cmd.done(o.Process, o.Changed)
			}
			if why := o.Process.Unreadable; why != "" {
				o.Fault, o.Text = supervisor.Failed, unreadable(why)
				order.add(o)
				continue
			}
			switch {
			case known.Done:
				o.Fault, o.Text, o.Passed = known.Fault, known.Text, b.Many
				order.add(o)
			case l.Not:
				o.Asked = true
				order.add(o)
			default:
				wait = append(wait, name)
			}
		}
	}
	s.latest, err = c.wait(ctx, l, s.latest, wait, cmd.goal, func(e checked) {
		if e.check.Fault != supervisor.Success {
			failed = append(failed, e.name)
		}
		o := s.outcome(cmd.verb, e.name)
		o.Process, o.Fault, o.Text = e.after, e.check.Fault, e.check.Text
		order.add(o)
	})
	if err != nil {
		order.abandon()
	}
	return failed, err
}

// unreadable says what follows from a program that cannot be read.
func unreadable(why string) string {
	return "its program cannot be read (" + why + "), so it stays as it is; distsuperctl load writes it again"
}

// outcome is that of a process of which nothing is known but how it was before.
func (s *subject) outcome(v Verb, name string) Outcome {
	return Outcome{Verb: v, Name: name, Fault: supervisor.Success, Changed: slices.Contains(s.changed, name), Process: s.before.Process(name)}
}

func badOutcome(v Verb, b *BadName) Outcome {
	return Outcome{Verb: v, Name: b.Name, Bad: b, Fault: supervisor.BadName}
}
