package controller

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

// forgetAfter is how long a controller is silent before the leader forgets it: as long as it stands there, machines ask it, too, and none can
// go on without etcd.
const forgetAfter = time.Hour

// sweep takes in which controllers there are, and forgets those that have not stood for election for long. That can only end a hold, never
// make one unsafe: whoever was forgotten writes nothing before it is registered anew, as a newcomer.
func (c *Core) sweep(now clock.Instant, wall time.Time, e ControllersListed) (effects []Effect) {
	if c.lead == nil || !c.registers || c.entry == 0 {
		return nil
	}
	since := map[string]clock.Instant{}
	for _, entry := range e.Entries {
		n, err := c.keys.Parse(entry.Key)
		if err != nil || n.ID == c.id || e.Candidates[n.ID] {
			continue
		}
		at, silent := c.silent[entry.Key]
		if !silent {
			at = now
		}
		since[entry.Key] = at
		if now.Sub(at) < forgetAfter {
			continue
		}
		since[entry.Key] = now // should this fail, it is tried again, though not at once
		effects = append(effects, c.send(batch{
			txn: store.Txn{If: []store.Cmp{store.Unchanged(entry.Key, entry.ModRev)}, Then: []store.Op{store.Delete(entry.Key)}},
			history: []api.HistoryEntry{{At: wall, Process: string(store.ControllerSubject(n.ID)), What: "forgotten",
				Why: "it has not stood for election for " + forgetAfter.String(), By: "leader " + c.id}},
		}))
	}
	c.silent = since
	return effects
}
