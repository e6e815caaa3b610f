package client_test

import (
	"fmt"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/storetest"
)

// TestWhatIsAboutOneReadsLittle: on a store of 1,000 programs.
func TestWhatIsAboutOneReadsLittle(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.machine("m1", true)
		for i := range 1000 {
			p := client.Program(fmt.Sprintf("p%04d", i), "/bin/p")
			w.put(keys.Program(p.Name), p)
			w.put(keys.Intent(p.Name), api.Intent{Want: api.WantRun})
			w.put(keys.Owner(p.Name), api.Owner{Machine: "m1", Token: 7, Instance: "i1", Placed: true})
			w.put(keys.Touch("m1", p.Name), api.Touch{Token: 7, Instance: "i1"})
			w.put(keys.Status("m1", p.Name), api.Status{Token: 7, Instance: "i1", Observed: api.Observed{State: api.Running}})
		}
		for name, do := range map[string]func(c *client.Client) error{
			"Get": func(c *client.Client) error {
				p, err := c.Get(t.Context(), "p0500")
				if err == nil && (len(p.Processes) != 1 || p.Processes[0].State != api.Running || !p.Processes[0].Live) {
					err = fmt.Errorf("it is %+v", p.Processes)
				}
				return err
			},
			"Cordon":         func(c *client.Client) error { _, err := c.Cordon(t.Context(), "m1"); return err },
			"Uncordon":       func(c *client.Client) error { _, err := c.Uncordon(t.Context(), "m1"); return err },
			"StartProcess":   func(c *client.Client) error { _, err := c.StartProcess(t.Context(), "p0501"); return err },
			"StopProcess":    func(c *client.Client) error { _, err := c.StopProcess(t.Context(), "p0502"); return err },
			"RestartProcess": func(c *client.Client) error { _, err := c.RestartProcess(t.Context(), "p0503"); return err },
			"Stop":           func(c *client.Client) error { _, err := c.Stop(t.Context(), "p0504"); return err },
		} {
			count := storetest.Count(w.kv)
			err := do(client.New(count, keys, "ann@desk"))
			cost := count.Take()
			t.Logf("%s: %v", name, cost)
			if err != nil || cost.Calls > 5 || cost.Entries > 15 {
				t.Errorf("%s: %v, want at most 5 calls and 15 entries (%v)", name, cost, err)
			}
		}
	})
}

var _ store.KV = (*storetest.Counter)(nil)
