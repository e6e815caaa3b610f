package api_test

import (
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
)

func TestWhatCrashedMayComeBackByItself(t *testing.T) {
	for state, want := range map[api.State]bool{api.Running: true, api.Starting: true, api.Backoff: true, api.Stopping: true, api.Unknown: true,
		api.Stopped: false, api.Exited: false, api.Fatal: false} {
		h := api.Held{Status: api.Status{Observed: api.Observed{State: state}}}
		if h.MayLive() != want {
			t.Errorf("%v without a process: may live is %v", state, !want)
		}
		if h.Status.PID = 7; !h.MayLive() {
			t.Errorf("%v with a process is dead", state)
		}
	}
}
