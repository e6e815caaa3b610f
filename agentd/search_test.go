package agentd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper/keepertest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// searched is a search that finds something for a while.
type searched struct {
	until time.Time
	asked []string
}

func (s *searched) search(_ context.Context, instance string) error {
	s.asked = append(s.asked, instance)
	if time.Now().Before(s.until) {
		return errors.New("the process 7, which it started, is alive")
	}
	return nil
}

// wiped is the machine of a box on the same boot, with a new state directory and a keeper that knows nothing.
func (w *world) wiped(of *box, change func(*api.HostIdentity)) *box {
	b := &box{w: w, name: of.name, kv: w.s.Client("wiped"), host: of.host,
		keeper: keepertest.New(w.t, keepertest.Options{Clock: clock.Go{}, Machine: of.name + "-wiped", Witness: w.witness, BootID: of.host.BootID})}
	b.host.Directory = "wiped"
	change(&b.host)
	w.boxes = append(w.boxes, b)
	return b
}

func TestSearchOfTheHostReleasesWhatAWipedMachineRanOnThisBoot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.keptRun(b)
		_ = b.stop()
		b.keeper.Crash()
		s := searched{until: time.Now().Add(time.Minute)}
		next := w.wiped(b, func(*api.HostIdentity) {})
		next.search = s.search
		next.up()
		time.Sleep(30 * time.Second)
		if st, _ := get[api.Status](w, w.keys.Status("m1", "web")); st.Released || len(s.asked) == 0 {
			t.Fatalf("while something is alive it is released: %+v (%d searches)", st, len(s.asked))
		}
		// Another agent of the keeper knows it, too, though info names its own keeper by now.
		_ = next.stop()
		again := &box{w: w, name: "m1", kv: w.s.Client("again"), host: next.host, keeper: next.keeper, search: s.search}
		w.boxes = append(w.boxes, again)
		again.up()
		st := w.status(again, "web", token, func(s api.Status) bool { return s.Released })
		if st.Proof != api.ProofSearched || time.Now().Before(s.until) {
			t.Errorf("released with proof %q at %v: %+v", st.Proof, time.Now(), st)
		}
		asked := len(s.asked)
		time.Sleep(time.Hour)
		if len(s.asked) != asked {
			t.Errorf("it is searched %d times after the proof", len(s.asked)-asked)
		}
	})
}

func TestSearchOfAHostProvesNothingAboutAnother(t *testing.T) {
	for name, change := range map[string]func(*api.HostIdentity){
		"another boot of what may be a clone": func(h *api.HostIdentity) { h.BootID, h.Hardware = "other", "other" },
		"other hardware":                      func(h *api.HostIdentity) { h.Hardware = "other" },
		"nothing tells":                       func(h *api.HostIdentity) { *h = api.HostIdentity{Name: h.Name, BootID: h.BootID} },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				b := w.box("m1").up()
				w.keptRun(b)
				b.kv.Cut() // and the process goes on
				time.Sleep(30 * time.Second)
				var s searched
				next := w.wiped(b, change)
				next.search = s.search
				next.up()
				time.Sleep(time.Hour)
				st, _ := get[api.Status](w, w.keys.Status("m1", "web"))
				if st.Released || len(s.asked) != 0 || len(w.witness.Alive("web")) != 1 {
					t.Errorf("searched for %v, released: %+v, alive: %+v", s.asked, st, w.witness.Alive("web"))
				}
			})
		})
	}
}

// Without cgroups a process may have left every mark behind.
func TestSearchProvesNothingWhereProcessesWereHeldWithoutCgroups(t *testing.T) {
	host := hostOf("a", "b")
	s := &step{Core: &Core{o: CoreOptions{Host: host}}}
	for containment, want := range map[string]bool{"cgroup2": true, api.Subreaper: false, "": false} {
		if got := s.searchable(api.EarlierKeeper{Identity: host, Containment: containment}); got != want {
			t.Errorf("held by %q: %v", containment, got)
		}
	}
}
