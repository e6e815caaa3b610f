package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: when four of five machines die at once, what ran on the fifth sees nothing, and all of the rest runs there in the end, once
// each. With a pace of four, what has to be first is not behind what can wait.
func TestLongManyMachinesVanishAtOnce(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 1, 5, func(o *fleet.Options) { o.ControllerLines = []string{"start_pace = 4"} })
	const each = 40
	first, rest := f.many("first", each, "-beat", "250ms"), f.many("rest", each, "-beat", "250ms")
	first.Priority, rest.Priority = 1, 500
	for _, p := range []*api.Program{&first, &rest} {
		p.TouchTimeout, p.OnPartition = 5, api.PartitionStop
	}
	f.run(2*each, first, rest)
	before := f.lives()
	gone := func(name string) bool { return before[name].Machine != "m5" }
	began := time.Now()
	for _, m := range f.Machines[:4] {
		m.Kill()
	}
	f.until("all run on m5", f.Where(f.ctx, 2*each, func(p client.Process) bool { return fleet.Runs(p) && p.Owner.Machine == "m5" }))
	t.Logf("all %d run %v after the death of four of five machines", 2*each, time.Since(began))
	f.kept(before, gone)
	var lastFirst, firstRest time.Time
	for _, p := range f.snapshot().Processes() {
		if !gone(p.Name) {
			continue
		}
		switch at := p.Status.Started; {
		case strings.HasPrefix(p.Name, "first"):
			if at.After(lastFirst) {
				lastFirst = at
			}
		case firstRest.IsZero() || at.Before(firstRest):
			firstRest = at
		}
	}
	if early := lastFirst.Sub(firstRest); early > time.Second { // those that are on their way at once may pass each other
		t.Errorf("one that can wait started %v before the last of those that have to be first", early)
	}
	f.onceEach()
}
