package control

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
)

// AwaitGone waits until a machine is not live and holds no process, so that it can be forgotten.
func (c *Control) AwaitGone(ctx context.Context, machine string, w Wait) error {
	limit, cancel := w.begin().bound(ctx)
	defer cancel()
	var left []string
	live, gone, summed := true, false, time.Now()
	_, err := c.await(limit, nil, func(s *client.Snapshot, now time.Time) (bool, error) {
		m := s.Machine(machine)
		left, live = s.MayHold(machine), m != nil && m.Alive != nil
		gone = !live && len(left) == 0
		if len(left) > 0 && now.Sub(summed) > leftEvery {
			c.o.Progress(Left{Processes: left, Machine: machine})
			summed = now
		}
		return gone, nil
	})
	switch {
	case err != nil || gone:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case live:
		return fmt.Errorf("machine %s is still live after %v", machine, w.Timeout)
	}
	return fmt.Errorf("machine %s may still hold %s after %v", machine, strings.Join(left, ", "), w.Timeout)
}
