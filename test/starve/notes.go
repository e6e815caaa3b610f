package starve

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

// notes counts what the store says while it says it: of the history of a process only the newest entries stay there.
type notes struct {
	keys   store.Keys
	cancel context.CancelFunc
	done   sync.WaitGroup

	// What follows belongs to the goroutine of Follow until close has returned.
	at                    map[string]string // the machine of each process
	moved                 map[string]int    // how often it was another
	lost, fenced, leaders int
}

func newNotes(ctx context.Context, c *client.Client) *notes {
	ctx, cancel := context.WithCancel(ctx)
	n := &notes{keys: c.Keys(), cancel: cancel, at: map[string]string{}, moved: map[string]int{}}
	n.done.Go(func() {
		// It ends with the context, and tries again whatever fails before.
		_ = store.Follow(ctx, c.KV(), store.Below(n.keys.Root()), store.FollowOptions{Relist: -1}, n)
	})
	return n
}

func (n *notes) close() {
	n.cancel()
	n.done.Wait()
}

// Reset is there at the start, and again where a watch could not go on: what was lost and fenced in between is not counted then.
func (n *notes) Reset(_ int64, entries []store.Entry) {
	for _, e := range entries {
		n.owner(e)
	}
}

// Apply counts.
func (n *notes) Apply(_ int64, changes []store.Change) {
	for _, c := range changes {
		name, err := n.keys.Parse(c.Entry.Key)
		gone := c.Kind == store.ChangeDelete
		switch {
		case err != nil:
		case name.Kind == store.KindAlive && gone:
			n.lost++
		case name.Kind == store.KindLeader && !gone:
			n.leaders++
		case name.Kind == store.KindHistory && !gone:
			if e, err := store.Decode[api.HistoryEntry](c.Entry); err == nil && e.What == "fenced" {
				n.fenced++
			}
		case name.Kind == store.KindOwner && gone:
			delete(n.at, name.ID) // removed: where it is placed when it is made anew is no move
		case !gone:
			n.owner(c.Entry)
		}
	}
}

func (n *notes) owner(e store.Entry) {
	name, err := n.keys.Parse(e.Key)
	if err != nil || name.Kind != store.KindOwner {
		return
	}
	o, err := store.Decode[api.Owner](e)
	if err != nil {
		return
	}
	if was := n.at[name.ID]; was != "" && was != o.Machine {
		n.moved[name.ID]++
	}
	n.at[name.ID] = o.Machine
}

// sum adds what was counted.
func (n *notes) sum(s *Seen) {
	s.Lost, s.Fenced, s.Leaders = n.lost, n.fenced, n.leaders
	most := ""
	for _, id := range slices.Sorted(maps.Keys(n.moved)) {
		s.Moved += n.moved[id]
		if most == "" || cmp.Compare(n.moved[id], n.moved[most]) > 0 {
			most = id
		}
	}
	if most != "" {
		s.MostMoved = fmt.Sprintf("%s, %d times", most, n.moved[most])
	}
}
