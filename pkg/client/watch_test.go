package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

// watches runs a watch until the test's bubble ends; the newest that was told is returned by latest.
func (w *world) watches(watch func(ctx context.Context, tell func(client.Seen) error) error) (latest func() client.Seen) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	told := make(chan client.Seen, 1)
	go func() {
		ended <- watch(ctx, func(s client.Seen) error {
			select {
			case <-told:
			default:
			}
			told <- s
			return nil
		})
	}()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the watch ended with %v", err)
		}
	})
	var last client.Seen
	return func() client.Seen {
		synctest.Wait()
		select {
		case last = <-told:
		default:
		}
		return last
	}
}

// runsOn puts a process that runs on a machine.
func (w *world) runsOn(process, machine string, token int64) {
	w.put(keys.Owner(process), api.Owner{Machine: machine, Token: token, Instance: "i1", Placed: true, Restarts: 1})
	w.put(keys.Touch(machine, process), api.Touch{Token: token, Instance: "i1"})
	w.put(keys.Status(machine, process), api.Status{Token: token, Instance: "i1", Observed: api.Observed{State: api.Running, PID: int(token)}})
}

func TestWhatOneTransactionWroteIsToldTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		latest := w.watches(func(ctx context.Context, tell func(client.Seen) error) error {
			return w.c.Watch(ctx, func(s client.Seen) error {
				for _, p := range s.Processes() {
					if p.Intent == nil || p.Intent.By != p.Spec.Command || p.Owner == nil || p.Owner.Reason != p.Spec.Command {
						t.Errorf("of %s it tells %+v", p.Name, p)
					}
				}
				return tell(s)
			})
		})
		for i := range 300 {
			name := fmt.Sprintf("p%d", i%7)
			p := client.Program(name, fmt.Sprint("/bin/", i))
			_, err := w.kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(keys.Program(name), store.Encode(p)),
				store.Put(keys.Intent(name), store.Encode(api.Intent{By: p.Command})),
				store.Put(keys.Owner(name), store.Encode(api.Owner{Reason: p.Command}))}})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		}
		if n := len(latest().Processes()); n != 7 {
			t.Errorf("%d processes were told of", n)
		}
	})
}

func TestAWatchOfOneFollowsItToAnotherMachine(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.machine("m1", true)
		w.machine("m2", true)
		w.put(keys.Schema(), api.Schema{Version: api.SchemaVersion})
		w.put(keys.Program("web"), client.Program("web", "/bin/web"))
		w.put(keys.Program("other"), client.Program("other", "/bin/other"))
		w.put(keys.Intent("web"), api.Intent{Want: api.WantRun, Restarts: 1})
		w.runsOn("web", "m1", 1)
		seen, err := w.c.Look(t.Context(), "web")
		if err != nil || len(seen.Processes()) != 1 || len(seen.Machines()) != 1 {
			t.Fatalf("%v: %+v on %+v", err, seen.Processes(), seen.Machines())
		}
		w.put(keys.Intent("other"), api.Intent{Want: api.WantRun})
		latest := w.watches(func(ctx context.Context, tell func(client.Seen) error) error { return w.c.WatchFrom(ctx, seen, tell) })
		if p := latest().Process("web"); p.State != api.Running || p.Owner.Machine != "m1" {
			t.Errorf("at first it is %+v", p)
		}
		w.runsOn("web", "m2", 2)
		if p := latest().Process("web"); p.State != api.Running || !p.Live || p.Owner.Machine != "m2" || p.Status.PID != 2 {
			t.Errorf("after the move it is %+v", p)
		}
		if s := latest(); s.Process("other") != nil || len(s.Processes()) != 1 {
			t.Errorf("it tells of %+v", s.Processes())
		}
		w.delete(keys.Alive("m2"))
		if p := latest().Process("web"); p.Live || p.State != api.Unknown {
			t.Errorf("with its machine gone it is %+v", p)
		}
		w.kv.Cut()
		time.Sleep(time.Minute)
		if s := latest(); s.Connected || s.Why == nil {
			t.Errorf("cut off it says that it is connected: %v, %v", s.Connected, s.Why)
		}
		w.kv.Heal()
		time.Sleep(time.Minute)
		w.delete(keys.Program("web"), keys.Owner("web"), keys.Touch("m2", "web"))
		if s := latest(); !s.Connected || s.Process("web") != nil {
			t.Errorf("removed, it is still told of: %+v", s.Process("web"))
		}
	})
}

func TestAWatchOfOneSaysWhatKeepsItFromBeingPlaced(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.machine("m1", true)
		w.machine("m2", false)
		w.machine("m3", false)
		w.put(keys.Schema(), api.Schema{Version: api.SchemaVersion})
		w.put(keys.Program("web"), client.Program("web", "/bin/web"))
		seen, err := w.c.Look(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		changed, after, err := w.c.StartFrom(t.Context(), seen, []string{"web"})
		if err != nil || len(changed) != 1 || after.Process("web").Awaits != client.AwaitsPlacing || seen.Process("web").Awaits != client.AwaitsNothing {
			t.Fatalf("%v changed, %v; then it is %+v, before %+v", changed, err, after.Process("web"), seen.Process("web"))
		}
		latest := w.watches(func(ctx context.Context, tell func(client.Seen) error) error { return w.c.WatchFrom(ctx, after, tell) })
		if text := latest().Process("web").Text; strings.Contains(text, "absent") {
			t.Errorf("at once it says %q", text)
		}
		time.Sleep(2 * time.Second)
		if text := latest().Process("web").Text; !strings.Contains(text, "2 of 3 machines are absent") {
			t.Errorf("after a while it says %q", text)
		}
		w.put(keys.Alive("m2"), api.Alive{Instance: "i1"})
		if text := latest().Process("web").Text; strings.Contains(text, "absent") {
			t.Errorf("with m2 there it says %q", text)
		}
	})
}

func TestLookReadsEverythingWhereNamesMeanMore(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.put(keys.Schema(), api.Schema{Version: api.SchemaVersion})
		grouped := client.Program("a", "/bin/a")
		grouped.Groups = []api.Group{{Name: "g"}}
		w.put(keys.Program("a"), grouped)
		w.put(keys.Program("b"), client.Program("b", "/bin/b"))
		for names, want := range map[string]int{"b": 1, "b:b": 1, "b b": 1, "b:": 2, "all": 2, "": 2, "g:*": 2, "g:a": 2, "b nope": 2, "b*": 2} {
			s, err := w.c.Look(t.Context(), names)
			if err != nil || len(s.Processes()) != want {
				t.Errorf("of %q it tells of %d processes, want %d (%v)", names, len(s.Processes()), want, err)
			}
		}
		w.put(keys.Schema(), api.Schema{Version: api.SchemaVersion + 1})
		for _, names := range []string{"b", "all"} {
			if _, err := w.c.Look(t.Context(), names); err == nil {
				t.Errorf("%q was read of a key space that we do not know", names)
			}
		}
	})
}

func (w *world) delete(gone ...string) {
	w.t.Helper()
	var ops []store.Op
	for _, key := range gone {
		ops = append(ops, store.Delete(key))
	}
	if _, err := w.server.Client("other").Txn(context.Background(), store.Txn{Then: ops}); err != nil {
		w.t.Fatal(err)
	}
}

// withoutKeys is a store of whose keys/ its user may read nothing.
type withoutKeys struct{ store.KV }

func (k withoutKeys) Range(ctx context.Context, r store.Range) (store.RangeResult, error) {
	if span, one := r.Keys(); !one && span.Has(keys.SigningKey()) || r.Key == keys.SigningKey() {
		return store.RangeResult{}, store.ErrPermission
	}
	return k.KV.Range(ctx, r)
}

func TestWhoMayNotReadTheSigningKeySeesTheRest(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.put(keys.SigningKey(), "secret")
		w.machine("m1", true)
		w.put(keys.Program("web"), client.Program("web", "/bin/web"))
		c := client.New(withoutKeys{w.kv}, keys, "bob@desk")
		s, err := c.Snapshot(t.Context())
		if err != nil || s.Process("web") == nil || s.Machine("m1") == nil {
			t.Fatalf("of everything there is %v", err)
		}
		latest := w.watches(c.Watch)
		if s := latest(); s.Snapshot == nil || !s.Connected || s.Process("web") == nil {
			t.Fatalf("at first it is told %+v", s)
		}
		w.put(keys.Owner("web"), api.Owner{Machine: "m1"})
		time.Sleep(2 * time.Second)
		if p := latest().Process("web"); p.Owner == nil {
			t.Errorf("later it is told %+v", p)
		}
	})
}
