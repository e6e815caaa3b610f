package agentd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper/keepertest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

func (b *box) restartKeeper(context.Context) error {
	b.keeper.Restart()
	return nil
}

// twin is another machine state under the same name: a keeper of its own.
func (w *world) twin(of *box, boot string) *box {
	b := &box{w: w, name: of.name, kv: w.s.Client("twin"), host: hostOf("host-twin", boot),
		keeper: keepertest.New(w.t, keepertest.Options{Clock: clock.Go{}, Machine: "twin", Witness: w.witness, BootID: boot})}
	w.boxes = append(w.boxes, b)
	return b
}

// successor is the host of a box after a boot, with a state directory of its own or, where dir is not changed, the same.
func (w *world) successor(of *box, change func(*api.HostIdentity), rebooted ...string) *box {
	b := &box{w: w, name: of.name, kv: w.s.Client("after"), host: of.host,
		keeper: keepertest.New(w.t, keepertest.Options{Clock: clock.Go{}, Machine: of.name + "-after", Witness: w.witness, BootID: "after",
			Rebooted: rebooted})}
	b.host.BootID = "after"
	change(&b.host)
	w.boxes = append(w.boxes, b)
	return b
}

// keptRun starts a process under on_partition keep on a box, whose host then loses its power.
func (w *world) keptRun(b *box) (token int64) {
	w.t.Helper()
	token = w.place(b, "web", keep)
	w.status(b, "web", token, func(s api.Status) bool { return running(s) && s.OnPartition == api.PartitionKeep })
	return token
}

func TestBootOfTheSameHostReleasesWhatRanBefore(t *testing.T) {
	for name, change := range map[string]func(*api.HostIdentity){
		"its state is there": func(*api.HostIdentity) {},
		"it was wiped":       func(h *api.HostIdentity) { h.Directory = "wiped" },
		"it was reinstalled": func(h *api.HostIdentity) { h.Directory, h.MachineID = "wiped", "new" },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				b := w.box("m1").up()
				token := w.keptRun(b)
				_ = b.stop()
				b.keeper.Crash()
				w.successor(b, change).up()
				st := w.status(b, "web", token, func(s api.Status) bool { return s.Released })
				if st.Proof != api.ProofRebooted {
					t.Errorf("released with proof %q: %+v", st.Proof, st)
				}
			})
		})
	}
}

func TestBootOfAnotherHostReleasesNothing(t *testing.T) {
	for name, change := range map[string]func(*api.HostIdentity){
		"a cloned virtual machine": func(h *api.HostIdentity) { h.Hardware = "other" },
		"a copied directory":       func(h *api.HostIdentity) { h.Hardware, h.MachineID, h.Directory = "other", "other", "other" },
		"nothing can be read":      func(h *api.HostIdentity) { *h = api.HostIdentity{Name: h.Name, BootID: h.BootID} },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				b := w.box("m1").up()
				token := w.keptRun(b)
				b.kv.Cut() // and the process goes on
				time.Sleep(30 * time.Second)
				w.successor(b, change).up()
				time.Sleep(time.Minute)
				st, _ := get[api.Status](w, w.keys.Status("m1", "web"))
				if st.Token != token || st.Released || len(w.witness.Alive("web")) != 1 {
					t.Errorf("released: %+v, alive: %+v", st, w.witness.Alive("web"))
				}
			})
		})
	}
}

// A clone may be like its original in everything that can be read. As long as that holds the name, it is alive.
func TestLiveHolderIsNeverTakenForDeadWhateverIdentitiesSay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.keptRun(b)
		clone := w.successor(b, func(*api.HostIdentity) {}, b.keeper.Instance()).start()
		err := <-clone.ended
		clone.cancel = nil
		wantEnd(t, err, ErrName)
		for _, part := range []string{"host-m1 (agent's pid 100)", "this is host host-m1", "--as NEWNAME", "distsuperctl machines remove m1"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
		if st := w.status(b, "web", token, running); st.Released || len(w.witness.Alive("web")) != 1 {
			t.Errorf("released: %+v, alive: %+v", st, w.witness.Alive("web"))
		}
	})
}

func TestLaterAgentOfTheSameKeeperEndsTheEarlier(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		later := &box{w: w, name: "m1", kv: w.s.Client("later"), host: b.host, keeper: b.keeper}
		later.start()
		wantEnd(t, <-b.ended, ErrName)
		b.cancel = nil
		_ = later.stop()
	})
}

func TestNamesakeOnAnotherHostIsRefusedByName(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		twin := w.twin(b, "boot-twin").start()
		err := <-twin.ended
		twin.cancel = nil
		wantEnd(t, err, ErrName)
		for _, part := range []string{"host-m1 (agent's pid 100)", "this is host host-twin", "--as NEWNAME", "distsuperctl machines remove m1"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
		if a, _ := get[api.Alive](w, w.keys.Alive("m1")); a.Instance != b.keeper.Instance() {
			t.Fatalf("alive %+v", a)
		}
	})
}

func TestNamesakeOnTheSameHostIsRefusedWhileItRenews(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		twin := w.twin(b, "boot-m1").start()
		time.Sleep(2 * time.Second)
		if h := twin.agent.Health(); !strings.Contains(h.Problem, "earlier agent") {
			t.Errorf("health %+v", h)
		}
		err := <-twin.ended
		twin.cancel = nil
		wantEnd(t, err, ErrName)
	})
}

func TestLeaseOfACrashedAgentOfTheSameHostIsWaitedOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		_ = b.stop()
		b.keeper.Crash() // and its state directory is wiped
		twin := w.twin(b, "boot-m1").up()
		if _, ok := w.entry(w.keys.Touch("m1", "web")); ok {
			t.Fatal("the old touch stands")
		}
		if len(w.witness.Copies("web")) != 1 {
			t.Fatal("the old instance's placement was started")
		}
		w.status(twin, "web", w.place(twin, "web"), running)
	})
}

func TestAliveIsClaimedAgainWhenItVanishes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		before, _ := w.entry(w.keys.Alive("m1"))
		w.write(store.Delete(w.keys.Alive("m1")))
		w.await("alive is back", func() string {
			if e, ok := w.entry(w.keys.Alive("m1")); !ok || e.Lease != before.Lease {
				return "it is not there"
			}
			return ""
		})
		b.kv.Cut()
		time.Sleep(20 * time.Second)
		b.kv.Heal()
		w.await("alive is back on a new lease", func() string {
			if e, ok := w.entry(w.keys.Alive("m1")); !ok || e.Lease == before.Lease {
				return "it is not there"
			}
			return ""
		})
	})
}

func TestInfoIsWrittenWhenItDiffers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		want := api.MachineInfo{Name: "m1", Version: "test", Labels: map[string]string{"zone": "a"}}
		b.agent.SetInfo(t.Context(), want)
		w.await("info", func() string {
			if i, _ := get[api.MachineInfo](w, w.keys.Info("m1")); i.Labels["zone"] != "a" {
				return "not yet"
			}
			return ""
		})
	})
}

func TestStoreThatWentBackStartsAndRenewsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		snap := w.s.Snapshot()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		w.place(b, "other")
		w.s.Restore(snap)
		w.awaitFor(2*time.Minute, "the agent says so", func() string {
			if h := b.agent.Health(); !strings.Contains(h.Problem, "gone back") {
				return h.Problem
			}
			return ""
		})
		w.place(b, "new")
		time.Sleep(20 * time.Second)
		if len(w.witness.Copies("new")) != 0 || len(w.witness.Alive("")) != 0 {
			t.Fatalf("alive: %+v", w.witness.Alive(""))
		}
	})
}

func TestEtcdWithoutSpaceIsSaidAndHealsByItself(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		token := w.place(b, "web")
		w.status(b, "web", token, running)
		w.s.SetNoSpace(true)
		if err := b.keeper.CrashCopy("web", "SIGSEGV"); err != nil {
			t.Fatal(err)
		}
		w.await("the agent says so", func() string {
			if h := b.agent.Health(); !strings.Contains(h.Problem, "etcd is full (NOSPACE)") {
				return h.Problem
			}
			return ""
		})
		time.Sleep(time.Minute)
		w.s.SetNoSpace(false)
		st := w.status(b, "web", token, func(s api.Status) bool { return running(s) && s.Starts == 2 })
		w.await("and no more", func() string { // the answer to the write comes after the write
			if h := b.agent.Health(); h.Problem != "" {
				return fmt.Sprintf("health %+v, status %+v", h, st)
			}
			return ""
		})
	})
}
