package keeper_test

import (
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/journal"
	"github.com/distsuper/distsuper/pkg/api"
)

func TestTransitionsCrossTheSocketInTheirOrder(t *testing.T) {
	f := fake(t)
	c, _ := serve(t, f)
	crashing := start(7)
	crashing.Process.Autorestart = api.RestartAlways
	if err := c.Start(t.Context(), crashing); err != nil {
		t.Fatal(err)
	}
	first, err := c.Transitions(t.Context(), keeper.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range first.Transitions {
		lines = append(lines, string(s.Kind)+" "+s.To.String())
	}
	if want := []string{"state STARTING", "spawned STARTING", "state RUNNING"}; len(lines) != 3 || lines[0] != want[0] || lines[1] != want[1] || lines[2] != want[2] {
		t.Fatalf("it tells %q, want %q", lines, want)
	}
	if last := first.Transitions[2]; last.ID != "g:n" || last.Token != 7 || last.From != api.Starting || last.PID == 0 || last.Seq != 3 || last.Time.IsZero() {
		t.Errorf("it says %+v", last)
	}
	waited := make(chan keeper.Transitions, 1)
	go func() {
		next, _ := c.Transitions(t.Context(), first.Next)
		waited <- next
	}()
	if err := f.Exit("g:n", 2); err != nil {
		t.Fatal(err)
	}
	next := <-waited
	if len(next.Transitions) == 0 || next.Transitions[0].Kind != keeper.CopyEnded || *next.Transitions[0].Exit != 2 || !next.Transitions[0].Expected || next.Dropped != 0 {
		t.Fatalf("of an exit it tells %+v", next)
	}

	for token := range int64(journal.Capacity/5 + 100) { // more than are kept: each life takes five
		once := start(token + 1)
		once.Process.Name, once.Process.Autorestart = "once", api.RestartNever
		for _, err := range []error{f.Start(t.Context(), once), f.Exit("g:once", 0), f.Forget(t.Context(), keeper.Ref{ID: "g:once", Token: token + 1}, false)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	far, err := c.Transitions(t.Context(), next.Next)
	if err != nil || far.Dropped == 0 || far.Transitions[0].Seq != next.Next.Seq+far.Dropped+1 {
		t.Fatalf("a reader that was away for too long hears of %d that were dropped, %v; then comes %+v", far.Dropped, err, far.Transitions[0])
	}

	f.Restart()
	anew, err := c.Transitions(t.Context(), far.Next)
	if err != nil || !anew.OtherKeeper || len(anew.Transitions) != 0 || anew.Next != (keeper.Cursor{Instance: f.Instance()}) {
		t.Errorf("another keeper answers %+v, %v", anew, err)
	}
}
