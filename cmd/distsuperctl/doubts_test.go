package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// What a machine told before it fell silent is shown with its age, and a wait for a controller that does not run says so.
func TestStatusSaysWhatIsOldAndWhoIsMissing(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", func(p *api.Program) { p.TouchTimeout = 20 }), program("other", nil))
		f.wants(exitOK, "web: started\n", "start", "web")
		if r := f.ctl("status", "web"); strings.Contains(r.out, "silent") {
			t.Errorf("while m1 renews it says %s", r.out)
		}
		f.lead.stop()
		f.lead = nil
		f.wants(exitOK, "other: start asked\n", "start", "other", "--no-wait")
		time.Sleep(10 * time.Second)
		for _, command := range []string{"status", "why"} {
			if r := f.ctl(command, "other"); !strings.Contains(r.out, "waiting for a controller to place it, no controller leads now") {
				t.Errorf("%s says %s", command, r.out)
			}
		}
		f.boxes["m1"].kv.Cut()
		f.server.Restart(0) // every lease starts anew, and so m1 still counts as live
		time.Sleep(15 * time.Second)
		for _, command := range []string{"status", "why"} {
			if r := f.ctl(command, "web"); !strings.Contains(r.out, "silent since ") {
				t.Errorf("%s says %s", command, r.out)
			}
		}
		if r := f.ctl("controllers"); !strings.Contains(r.errout, "nobody leads; d1 led last (elected ") {
			t.Errorf("controllers says %s%s", r.out, r.errout)
		}
		if r := f.ctl("pid", "web"); !strings.Contains(r.errout, "silent since ") {
			t.Errorf("pid says %s%s", r.out, r.errout)
		}
	})
}

func TestMachinesSaysWhichOfTheLiveIsSilent(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", func(p *api.Program) { p.TouchTimeout = 5 }))
		f.wants(exitOK, "web: started\n", "start", "web")
		if r := f.ctl("machines"); strings.Contains(r.out, "silent") {
			t.Errorf("while it renews: %s", r.out)
		}
		f.boxes["m1"].kv.Cut()
		f.server.Restart(0) // every lease starts anew
		time.Sleep(3500 * time.Millisecond)
		if r := f.ctl("machines"); !strings.Contains(r.out, "live, silent since ") {
			t.Errorf("while it does not: %s", r.out)
		}
	})
}

// asksMembers counts how often the members of etcd are asked.
type asksMembers struct {
	store.KV
	asked int
}

func (a *asksMembers) Members(ctx context.Context) []store.Member {
	a.asked++
	return a.KV.Members(ctx)
}

func TestACommandAsksTheMembersOfEtcdOnce(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("a", nil), program("full", func(p *api.Program) { p.Machines = []string{"nowhere"} }))
		f.wants(exitOK, "a: started\n", "start", "a")
		f.wants(exitOK, "full: start asked\n", "start", "full", "--no-wait")
		time.Sleep(time.Second)
		asks := &asksMembers{KV: f.kv}
		f.reads = asks
		s := f.session() // of which each line asks anew, as in a shell
		for _, args := range [][]string{{"status"}, {"status", "--machine", "m1"}, {"why", "full"}, {"machines"}} {
			asks.asked = 0
			if execute(t.Context(), s.ctl, args); asks.asked != 1 {
				t.Errorf("%v asks them %d times: %s%s", args, asks.asked, s.stdout, s.stderr)
			}
		}
	})
}
