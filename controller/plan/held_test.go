package plan

import (
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
)

// A machine that refuses a restored store has a run that crashed. Its keeper starts it again, whatever the store says.
func TestACrashedRunOnAMachineThatRefusesTheStoreIsWaitedFor(t *testing.T) {
	for state, want := range map[api.State]bool{api.Running: true, api.Backoff: true, api.Stopped: false} {
		held := api.Held{Status: api.Status{Observed: api.Observed{State: state}}}
		p := &ProcessFacts{Slots: map[string]*Slot{"m1": {Held: &api.Stored[api.Held]{Value: held}}}}
		if got := heldElsewhere(p) != nil; got != want {
			t.Errorf("%v: it is waited for: %v, want %v", state, got, want)
		}
	}
}
