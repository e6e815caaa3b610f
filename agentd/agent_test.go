package agentd

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
)

func TestAgentStartsAPlacementAndSaysSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		st := w.status(b, "web", token, running)
		if st.PID == 0 || st.Starts != 1 || st.OnPartition != api.PartitionStop || st.Instance != b.keeper.Instance() {
			t.Fatalf("status %+v", st)
		}
		e, _ := w.entry(w.keys.Touch("m1", "web"))
		if int64(e.Lease) != st.Lease || st.Lease == 0 {
			t.Fatalf("the touch is on lease %x, the status says %x", e.Lease, st.Lease)
		}
		if env := b.keeper.Env("web"); env["DISTSUPER_MACHINE"] != "m1" || env["DISTSUPER_TOKEN"] == "" || env["SUPERVISOR_ENABLED"] != "" {
			t.Fatalf("environment %v", env)
		}
	})
}

func TestAgentStopsWhatIsPlacedNoMoreAndReleasesIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		w.remove(b, "web")
		st := w.status(b, "web", token, released)
		if st.State != api.Stopped {
			t.Fatalf("status %+v", st)
		}
		w.forgotten(b, "web")
	})
}

func TestIdleAgentWritesNothingAndGrantsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		for _, name := range []string{"a", "b", "c"} {
			w.status(b, name, w.place(b, name), running)
		}
		time.Sleep(2 * time.Second)
		rev, before := w.s.Rev(), w.s.Stats()
		time.Sleep(time.Hour)
		after := w.s.Stats()
		if w.s.Rev() != rev || after.Grants != before.Grants || after.Revokes != before.Revokes || after.Expiries != before.Expiries {
			t.Fatalf("revision %d -> %d, %+v -> %+v", rev, w.s.Rev(), before, after)
		}
		if n := after.Renewals - before.Renewals; n > int(time.Hour/deadline.Interval(5))+100 {
			t.Fatalf("%d renewals in an hour: more than one lease's", n)
		}
	})
}
