package control

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
)

// UnplaceableError: the processes that are left on a drained machine stay there, since no other machine can take them.
type UnplaceableError struct {
	Machine   string
	Processes []string
}

func (e *UnplaceableError) Error() string {
	return e.Machine + " is not empty: no other machine can take what is left"
}

// AwaitEmpty waits until nothing is placed on a machine or held by it; it fails with an *UnplaceableError when what is left
// can go nowhere. When the time is up it returns what was left at the last look, with empty false; of that nothing is known
// when the store never answered.
func (c *Control) AwaitEmpty(ctx context.Context, machine string, w Wait) (left []string, empty bool, err error) {
	limit, cancel := w.begin().bound(ctx)
	defer cancel()
	var summed time.Time
	lost, err := c.await(limit, nil, func(s *client.Snapshot, now time.Time) (bool, error) {
		left = onMachine(s, machine)
		empty = len(left) == 0
		switch {
		case empty:
			return true, nil
		case !slices.ContainsFunc(left, func(name string) bool { return !staysOn(s, name, machine) }):
			return false, &UnplaceableError{machine, left}
		case now.Sub(summed) > leftEvery:
			c.o.Progress(Left{Processes: left, Machine: machine})
			summed = now
		}
		return false, nil
	})
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && !empty && lost != nil:
		err = fmt.Errorf("whether %s is empty is not known, since %w", machine, lost)
	}
	return left, empty, err
}

// staysOn reports whether the leader leaves a process on a machine that is drained, since no other can take it. Where
// such a process is to be stopped, the leader just has not come to it.
func staysOn(s *client.Snapshot, process, machine string) bool {
	if m := s.Machine(machine); m.Cordon != nil && m.Cordon.StopUnplaceable {
		return false
	}
	p := s.Process(process)
	return p != nil && p.Live && p.Owner != nil && p.Owner.Placed && p.Owner.Machine == machine && p.Owner.WaitingFor == api.WaitingForMachine
}

// onMachine are the processes that a machine is to run or holds.
func onMachine(s *client.Snapshot, machine string) []string {
	m := s.Machine(machine)
	if m == nil {
		return nil
	}
	names := slices.Clone(m.Touches())
	for _, p := range s.Processes() {
		if p.Owner != nil && p.Owner.Machine == machine && p.Owner.Placed {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
