package backup

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

var keys = store.NewKeys("")

func text(t interface{ Fatal(...any) }, b *Backup) []byte {
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Every value comes back byte by byte, whatever it is.
func TestAFileHasAllOfABackup(t *testing.T) {
	value := rapid.OneOf(rapid.StringMatching(`[ -~äöü\n"\\<>&]{0,30}`), rapid.SampledFrom([]string{`{"a":"<b>&"}`, `{"a": 1}`, `null`, `""`, `-----BEGIN
x`, `[1,2]`, "\u2028"}))
	rapid.Check(t, func(t *rapid.T) {
		b := &Backup{Head: Head{Format: format, Prefix: "/p/", Rev: 7, Tokens: 9, At: time.Unix(5, 0).UTC(), By: "ann"}}
		for range rapid.IntRange(0, 5).Draw(t, "keys") {
			b.Entries = append(b.Entries, store.Entry{Key: "/p/" + rapid.StringMatching(`[a-z%/]{1,9}`).Draw(t, "key"), Value: []byte(value.Draw(t, "value"))})
		}
		got, err := Read(bytes.NewReader(text(t, b)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range got.Entries {
			if got.Entries[i].Value == nil {
				got.Entries[i].Value = []byte{}
			}
		}
		if !reflect.DeepEqual(got, b) {
			t.Fatalf("%+v came back as %+v", b, got)
		}
	})
}

func TestEveryDamageIsNoticed(t *testing.T) {
	whole := text(t, &Backup{Head: Head{Format: format, Prefix: "/p/"}, Entries: []store.Entry{
		{Key: "/p/a", Value: []byte(`{"x":1}`)}, {Key: "/p/keys/k", Value: []byte("PEM\n")}}})
	if _, err := Read(bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for name, damaged := range map[string][]byte{
			"cut off":   whole[:i],
			"a flipped": slices.Concat(whole[:i], []byte{whole[i] ^ 1}, whole[i+1:]),
			"a lost":    slices.Concat(whole[:i], whole[i+1:]),
		} {
			if _, err := Read(bytes.NewReader(damaged)); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s byte at %d: %v\n%s", name, i, err, damaged)
			}
		}
	}
	if _, err := Read(bytes.NewReader(append(slices.Clone(whole), '\n'))); !errors.Is(err, ErrDamaged) {
		t.Errorf("with something behind its end: %v", err)
	}
}

// world is a store with a key space.
type world struct {
	t  *testing.T
	s  *memstore.Server
	kv store.KV
}

func inWorld(t *testing.T, test func(w world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		w := world{t, s, s.Client("admin")}
		if _, err := store.Init(t.Context(), w.kv, keys, "test"); err != nil {
			t.Fatal(err)
		}
		test(w)
	})
}

func (w world) do(ops ...store.Op) {
	w.t.Helper()
	if _, err := w.kv.Txn(w.t.Context(), store.Txn{Then: ops}); err != nil {
		w.t.Fatal(err)
	}
}

func (w world) put(key string, value any) { w.do(store.Put(key, store.Encode(value))) }

func (w world) take() *Backup {
	w.t.Helper()
	b, err := Take(w.t.Context(), w.kv, keys, "ann", time.Unix(5, 0))
	if err != nil {
		w.t.Fatal(err)
	}
	if b, err = Read(bytes.NewReader(text(w.t, b))); err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w world) restore(b *Backup, to world) *Plan {
	w.t.Helper()
	plan, err := NewPlan(b, keys, to.s.Entries(keys.Root()))
	if err != nil {
		w.t.Fatal(err)
	}
	done := 0
	if err := Restore(w.t.Context(), to.kv, keys, plan, func(d, of int) { done = d }); err != nil {
		w.t.Fatal(err)
	}
	if all := len(plan.first) + len(plan.wanted) + len(plan.known); done != all {
		w.t.Errorf("told of %d of %d keys", done, all)
	}
	return plan
}

func get[T any](w world, key string) (value T, found bool) {
	w.t.Helper()
	for _, e := range w.s.Entries(key) {
		if e.Key == key {
			value, err := store.Decode[T](e)
			if err != nil {
				w.t.Fatal(err)
			}
			return value, true
		}
	}
	return value, false
}

// run has the store say that a process runs.
func (w world) run(name string, token int64) {
	w.put(keys.Program(name), api.Program{Name: name})
	w.put(keys.Intent(name), api.Intent{Want: api.WantRun, Restarts: 1})
	w.put(keys.Owner(name), api.Owner{Machine: "m1", Token: token, Placed: true, Restarts: 1})
	w.put(keys.Placement("m1", name), api.Placement{Token: token})
	w.put(keys.Status("m1", name), api.Status{Token: token, OnPartition: api.PartitionKeep})
	w.put(keys.Info("m1"), api.MachineInfo{Name: "m1"})
}

func TestABackupHasNoLeasesInIt(t *testing.T) {
	inWorld(t, func(w world) {
		l, err := w.kv.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		w.run("a", 5)
		w.do(store.PutOn(keys.Touch("m1", "a"), nil, l.ID), store.Put(keys.HistoryEntry("a", "1"), []byte("{}")))
		b := w.take()
		for _, e := range b.Entries {
			if n, _ := keys.Parse(e.Key); n.Kind == store.KindTouch || n.Kind == store.KindHistory {
				t.Errorf("%s is in it", e.Key)
			}
		}
		if len(b.Entries) != 9 || b.Rev != w.s.Rev() || b.Tokens != b.Rev {
			t.Errorf("%d keys as of %d, tokens up to %d", len(b.Entries), b.Rev, b.Tokens)
		}
	})
}

func TestIntoAnEmptyStoreEverythingIsPutBackButPlacements(t *testing.T) {
	inWorld(t, func(w world) {
		w.run("a", 5)
		w.put(keys.Schema(), api.Schema{Version: 1, Floor: 500})
		w.put(keys.Cordon("m1"), api.Cordon{By: "ann"})
		signing := w.s.Entries(keys.SigningKey())[0].Value
		b := w.take()
		s := memstore.New(memstore.Options{})
		defer s.Close()
		to := world{t, s, s.Client("admin")}
		if plan := w.restore(b, to); !plan.Fresh || !slices.Equal(plan.Added, []string{"a"}) {
			t.Errorf("%+v", plan)
		}
		owner, _ := get[api.Owner](to, keys.Owner("a"))
		if owner.Placed || owner.Machine != "m1" || owner.Token != 5 {
			t.Errorf("the owner is %+v", owner)
		}
		if st, _ := get[api.Status](to, keys.Status("m1", "a")); st.OnPartition != api.PartitionKeep {
			t.Errorf("the status that protects a kept run is %+v", st)
		}
		if _, found := get[api.Placement](to, keys.Placement("m1", "a")); found {
			t.Error("a placement was put back: an agent would start it under an old token")
		}
		if i, _ := get[api.Intent](to, keys.Intent("a")); i.Want != api.WantRun {
			t.Errorf("the intent is %+v", i)
		}
		if _, found := get[api.Cordon](to, keys.Cordon("m1")); !found || !bytes.Equal(s.Entries(keys.SigningKey())[0].Value, signing) {
			t.Error("the cordon or the signing key is not back")
		}
		if schema, _ := get[api.Schema](to, keys.Schema()); schema.Floor < b.Tokens {
			t.Errorf("tokens go on from %d, below %d", schema.Floor, b.Tokens)
		}
	})
}

func TestIntoALivingStoreOnlyWhatUsersWroteChanges(t *testing.T) {
	inWorld(t, func(w world) {
		w.run("stays", 5)
		w.run("gone", 6)
		b := w.take()
		w.put(keys.Intent("stays"), api.Intent{Want: api.WantStop, Restarts: 7, Moves: 2}) // stopped since, and restarted before
		w.put(keys.Owner("stays"), api.Owner{Machine: "m2", Token: 90, Restarts: 7})
		w.put(keys.Program("new"), api.Program{Name: "new"})
		w.put(keys.Intent("new"), api.Intent{Want: api.WantRun})
		w.do(store.Delete(keys.Program("gone")), store.Delete(keys.Intent("gone")), store.Delete(keys.Owner("gone")), store.Delete(keys.Status("m1", "gone")))
		plan := w.restore(b, w)
		if plan.Fresh || !slices.Equal(plan.Added, []string{"gone"}) || !slices.Equal(plan.Removed, []string{"new"}) || len(plan.Changed) > 0 {
			t.Errorf("%+v", plan)
		}
		if i, _ := get[api.Intent](w, keys.Intent("stays")); i.Want != api.WantRun || i.Restarts != 7 || i.Moves != 2 {
			t.Errorf("the intent is %+v: what was counted has to go on, or it restarts", i)
		}
		if o, _ := get[api.Owner](w, keys.Owner("stays")); o.Machine != "m2" || o.Token != 90 {
			t.Errorf("what the store knows was replaced: %+v", o)
		}
		if _, found := get[api.Program](w, keys.Program("new")); found {
			t.Error("a program that the backup does not have is still there")
		}
		again, err := NewPlan(b, keys, w.s.Entries(keys.Root()))
		if err != nil || !again.Empty() {
			t.Errorf("it is not the same after it was restored: %+v, %v", again, err)
		}
	})
}
