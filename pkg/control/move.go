package control

import (
	"context"
	"fmt"

	"github.com/distsuper/distsuper/pkg/client"
)

// Move asks that a process go to a machine, or with "" to any other one, and waits until it runs there or cannot go. A
// name that does not mean one process is a *BadName, a machine that is not known a *BadMachine.
func (c *Control) Move(ctx context.Context, name, to string, w Wait, report func(Outcome)) error {
	before, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	p, err := One(before.Processes(), name)
	switch {
	case err != nil:
		return err
	case p.Spec == nil:
		return fmt.Errorf("%s is being removed, and does not move any more", name)
	case to != "" && before.Machine(to) == nil:
		return &BadMachine{Name: to, Known: before.Machines()}
	case !wanted(p):
		return fmt.Errorf("%s is not meant to run; start it first, then move it if need be", name)
	}
	if err := c.client.MoveProcess(ctx, p.Name, to); err != nil {
		return err
	}
	from := ""
	if p.Owner != nil {
		from = p.Owner.Machine
	}
	s := &subject{before: before, batches: []Batch{{Name: p.Name, Processes: []string{p.Name}}}, changed: []string{p.Name}}
	_, err = c.settle(ctx, s, w.begin(), command{verb: Move, goal: Moved(from)}, report)
	return err
}

// BadMachine is the name of a machine that is not known.
type BadMachine struct {
	Name  string
	Known []client.Machine
}

func (b *BadMachine) Error() string { return fmt.Sprintf("machine %s is not known", b.Name) }
