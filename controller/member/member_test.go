package member

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/trust"
)

var keys = store.NewKeys(store.DefaultPrefix)

// fleet is a store in a synctest bubble, and hosts with state directories for controllers.
type fleet struct {
	*testing.T
	server *memstore.Server
	admin  *memstore.Client
	dir    string
	away   bool // etcd, for who starts now
}

func inFleet(t *testing.T, test func(f *fleet)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{T: t, server: memstore.New(memstore.Options{}), dir: dir}
		t.Cleanup(f.server.Close)
		f.admin = f.server.Client("admin")
		if _, err := store.Init(t.Context(), f.admin, keys, "test"); err != nil {
			t.Fatal(err)
		}
		test(f)
	})
}

// life is one life of a controller.
type life struct {
	*Member
	kv  *memstore.Client
	end func()
}

// start starts a controller. Its state directory is that of its id, but for the identity of it, which copied changes.
func (f *fleet) start(id string, log *zap.Logger, copied ...string) *life {
	f.Helper()
	dir := filepath.Join(f.dir, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	host := api.HostIdentity{Name: "h", BootID: "b", MachineID: "m", Directory: id + strings.Join(copied, "")}
	kv := f.server.Client(id)
	if f.away {
		kv.Cut()
	}
	m := New(Options{KV: kv, Keys: keys, Self: api.Controller{ID: id, Host: "h", Fingerprint: "f-" + id}, Host: host,
		File: filepath.Join(dir, "promises"), Clock: clock.Go{}, Log: log})
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	l := &life{Member: m, kv: kv}
	done := false
	l.end = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-ended; err != nil {
			f.Errorf("%s ended with %v", id, err)
		}
	}
	f.Cleanup(l.end)
	synctest.Wait()
	return l
}

// entry is what stands at a controller's key.
func (f *fleet) entry(id string) (c api.Controller) {
	f.Helper()
	e := f.server.Entries(keys.Controller(id))
	if len(e) == 0 {
		return c
	}
	c, err := store.Decode[api.Controller](e[0])
	if err != nil {
		f.Fatal(err)
	}
	return c
}

func (f *fleet) do(ops ...store.Op) {
	f.Helper()
	if _, err := f.admin.Txn(f.Context(), store.Txn{Then: ops}); err != nil {
		f.Fatal(err)
	}
	synctest.Wait()
}

// standing holds a controller against what it may do.
func (f *fleet) standing(l *life, when string, want promise.Kind) {
	f.Helper()
	if got := l.Forbids("m1", promise.Name{Process: "x", Token: 7}, 0); got.Kind != want {
		f.Errorf("%s: what it may do is %+v, want kind %d", when, got, want)
	}
	if s, _ := l.Standing(); s.Member != (want != promise.Newcomer) {
		f.Errorf("%s: it stands as %+v", when, s)
	}
}

// set is what a machine reads.
func (f *fleet) set() promise.Set {
	f.Helper()
	r, err := trust.ReadRegistered(f.Context(), f.admin, keys)
	if err != nil {
		f.Fatal(err)
	}
	return r.Set(keys)
}

// ask asks a controller on behalf of m1, which knows of the controllers up to a revision.
func (f *fleet) ask(l *life, set int64) (promise.Answer, error) {
	l.Machines(map[string]string{"m1": "f-m1"})
	return l.Answer("f-m1", promise.Ask{Version: promise.Version, Controller: l.o.Self.ID, Machine: "m1", Number: 1, Set: set,
		Names: []promise.Name{{Process: "x", Token: 7}}})
}

func (f *fleet) granted(l *life, set int64, want bool) {
	f.Helper()
	if a, err := f.ask(l, set); err != nil || (a.Promised() > 0) != want {
		f.Errorf("asked with the set of %d it answers %+v, %v", set, a, err)
	}
}

// vouchedWait is how long a newcomer waits at most once somebody has vouched for it.
const vouchedWait = 13 * time.Second

func TestTheFirstControllerIsAMemberAtOnceAndTheSecondOneSoon(t *testing.T) {
	inFleet(t, func(f *fleet) {
		d1 := f.start("d1", zap.NewNop())
		f.standing(d1, "the first", promise.Free)
		old := f.set()
		f.granted(d1, old.Revision, true)
		d2 := f.start("d2", zap.NewNop())
		f.standing(d2, "the second", promise.Newcomer)
		if c := f.entry("d1"); c.Acknowledged == 0 || !c.Member {
			t.Errorf("d1 says %+v", c)
		}
		if c := f.entry("d2"); c.Member || time.Until(c.WaitsUntil) > vouchedWait || time.Until(c.WaitsUntil) < promise.Length {
			t.Errorf("d2 says %+v", c)
		}
		f.granted(d1, old.Revision, false)
		f.granted(d1, f.set().Revision, true)
		time.Sleep(promise.Length)
		f.standing(d2, "after a promise that was given just before", promise.Newcomer)
		time.Sleep(vouchedWait - promise.Length)
		f.standing(d2, "soon", promise.Free)
		if c := f.entry("d2"); !c.Member || !c.WaitsUntil.IsZero() {
			t.Errorf("d2 says %+v", c)
		}
		f.granted(d2, f.set().Revision, true)
		rev := f.server.Rev()
		time.Sleep(time.Hour)
		if f.server.Rev() != rev {
			t.Error("an idle hour wrote something")
		}
	})
}

func TestANewcomerWithoutAMemberWaitsForTheEndOfEverySet(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.start("d1", zap.NewNop()).end()
		d2 := f.start("d2", zap.NewNop())
		f.start("d3", zap.NewNop())
		time.Sleep(promise.NewcomerWait(promise.DefaultMaxHold))
		f.standing(d2, "alone", promise.Newcomer)
		if c := f.entry("d3"); c.Acknowledged != 0 {
			t.Errorf("a newcomer vouches: %+v", c)
		}
		time.Sleep(2 * time.Minute)
		f.standing(d2, "when no set without it counts", promise.Free)
	})
}

func TestAnOperatorsWordIsAMembers(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.start("d1", zap.NewNop()).end()
		d2 := f.start("d2", zap.NewNop())
		r, err := trust.ReadRegistered(t.Context(), f.admin, keys)
		if err != nil {
			t.Fatal(err)
		}
		r.Schema.Controllers.Off = r.Revision(r.Rev)
		f.do(store.Put(keys.Schema(), store.Encode(r.Schema)), store.Delete(keys.Controller("d1")))
		f.standing(d2, "at once", promise.Newcomer)
		time.Sleep(vouchedWait)
		f.standing(d2, "soon", promise.Free)
	})
}

func TestWhoGoesOnFromAnEarlierLife(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(f *fleet)
		copied    string
		want      promise.Kind
	}{
		"started again":            {func(*fleet) {}, "", promise.Free},
		"its directory is a copy":  {func(*fleet) {}, "copy", promise.Newcomer},
		"its entry was removed":    {func(f *fleet) { f.do(store.Delete(keys.Controller("d1"))) }, "", promise.Newcomer},
		"its file was lost":        {func(f *fleet) { os.Remove(filepath.Join(f.dir, "d1", "promises")) }, "", promise.Newcomer},
		"its file is damaged":      {func(f *fleet) { os.WriteFile(filepath.Join(f.dir, "d1", "promises"), []byte("{"), 0o600) }, "", promise.Newcomer},
		"another life was between": {func(f *fleet) { f.start("d1", zap.NewNop(), "copy").end() }, "copy2", promise.Newcomer},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				f.start("d1", zap.NewNop()).end()
				c.meanwhile(f)
				f.standing(f.start("d1", zap.NewNop(), c.copied), name, c.want)
			})
		})
	}
}

func TestALifeWhoseRegistrationWasNotAnsweredIsGoneOnFrom(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.start("d1", zap.NewNop()).end()
		before, err := os.ReadFile(filepath.Join(f.dir, "d1", "promises"))
		if err != nil {
			t.Fatal(err)
		}
		f.start("d1", zap.NewNop()).end()
		after, err := load(ownDisk{}, filepath.Join(f.dir, "d1", "promises"))
		if err != nil {
			t.Fatal(err)
		}
		// What the disk has when a life is killed between its registration and the answer.
		text := strings.Replace(string(before), `"member":true`, fmt.Sprintf(`"member":true,"trying":%q`, after.Record.Incarnation), 1)
		if err := os.WriteFile(filepath.Join(f.dir, "d1", "promises"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f.standing(f.start("d1", zap.NewNop()), "after that", promise.Free)
	})
}

func TestWhoeverTakesThePlaceOfAnotherEndsItForGood(t *testing.T) {
	inFleet(t, func(f *fleet) {
		core, logged := observer.New(zapcore.ErrorLevel)
		d1 := f.start("d1", zap.New(core))
		twin := f.start("d1", zap.NewNop(), "copy")
		if s, _ := d1.Standing(); s.Entry != 0 || !s.Over || logged.FilterMessageSnippet("same id").Len() != 1 {
			t.Errorf("it stands as %+v and says %v", s, logged.All())
		}
		f.standing(twin, "the later one", promise.Newcomer)
		rev := f.server.Rev()
		f.do(store.Put(keys.Cordon("m1"), []byte("{}")))
		time.Sleep(time.Minute)
		if f.server.Rev() != rev+1 {
			t.Error("they write against one another")
		}
	})
}

func TestWhoWasForgottenAndLivesComesBackAsANewcomer(t *testing.T) {
	inFleet(t, func(f *fleet) {
		d1 := f.start("d1", zap.NewNop())
		first, _ := d1.Standing()
		f.do(store.Delete(keys.Controller("d1")))
		f.standing(d1, "at once", promise.Newcomer)
		if s, _ := d1.Standing(); s.Entry <= first.Entry || f.entry("d1").Fingerprint != "f-d1" {
			t.Errorf("it stands as %+v", s)
		}
		d1.kv.Cut()
		f.do(store.Delete(keys.Controller("d1")))
		time.Sleep(time.Minute)
		d1.kv.Heal()
		time.Sleep(time.Minute)
		if f.entry("d1").Fingerprint != "f-d1" {
			t.Error("it is not there after an outage")
		}
	})
}

func TestMachinesAreAnsweredWithoutEtcdAndByTheNextLife(t *testing.T) {
	inFleet(t, func(f *fleet) {
		d1 := f.start("d1", zap.NewNop())
		set := f.set().Revision
		f.granted(d1, set, true)
		synctest.Wait()
		d1.kv.Cut()
		f.granted(d1, set, true)
		f.standing(d1, "without etcd", promise.Promised)
		d1.end()
		f.away = true
		next := f.start("d1", zap.NewNop())
		if !next.IsMachine("f-m1") || next.IsMachine("f-m2") {
			t.Error("it does not know the machines any more")
		}
		f.granted(next, set, true)
		if _, err := next.Answer("f-m2", promise.Ask{Version: promise.Version, Controller: "d1", Machine: "m1", Set: set}); err == nil {
			t.Error("a machine asks for another one")
		}
	})
}

// TestARestartLeavesHoldsAlone: a machine that has not read the set since a member was started again is promised what it was before, by
// everybody. Of any other registration it must know first.
func TestARestartLeavesHoldsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(f *fleet)
		copied    string
		granted   bool
	}{
		"started again":           {func(*fleet) {}, "", true},
		"its directory is a copy": {func(*fleet) {}, "copy", false},
		"its entry was removed":   {func(f *fleet) { f.do(store.Delete(keys.Controller("d2"))) }, "", false},
		"its file was lost":       {func(f *fleet) { os.Remove(filepath.Join(f.dir, "d2", "promises")) }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				d1 := f.start("d1", zap.NewNop())
				without := f.set().Revision
				d2 := f.start("d2", zap.NewNop())
				time.Sleep(vouchedWait)
				f.standing(d2, "it is a member", promise.Free)
				set := f.set().Revision
				for range 2 { // and again
					d2.end()
					c.meanwhile(f)
					d2 = f.start("d2", zap.NewNop(), c.copied)
				}
				f.granted(d1, set, c.granted)
				f.granted(d2, set, c.granted)
				f.granted(d1, without, false)
				f.granted(d2, without, false)
			})
		})
	}
	inFleet(t, func(f *fleet) {
		d1, d2 := f.start("d1", zap.NewNop()), f.start("d2", zap.NewNop())
		set := f.set().Revision
		d2.end()
		f.start("d2", zap.NewNop())
		f.granted(d1, set, false) // it was a newcomer, and is one again
	})
}

func TestWhatCannotBeWrittenDownIsNotPromised(t *testing.T) {
	inFleet(t, func(f *fleet) {
		d1 := f.start("d1", zap.NewNop())
		dir := filepath.Join(f.dir, "d1")
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		f.granted(d1, f.set().Revision, false)
		d2 := f.start("d2", zap.NewNop())
		time.Sleep(time.Minute)
		f.standing(d2, "while d1 cannot write that down", promise.Newcomer)
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(vouchedWait + 2*again)
		f.standing(d2, "after that", promise.Free)
	})
}

func TestAChangedAddressIsWrittenAndLosesNothing(t *testing.T) {
	inFleet(t, func(f *fleet) {
		core, logged := observer.New(zapcore.ErrorLevel)
		d1 := f.start("d1", zap.New(core))
		before := f.set().Revision
		for _, addr := range []string{"10.0.0.1:3378", "10.0.0.2:3378", "10.0.0.1:3378"} {
			d1.Say(api.Controller{ID: "d1", Host: "h", Fingerprint: "f-d1", HTTP: addr})
			synctest.Wait()
			if c := f.entry("d1"); c.HTTP != addr || !c.Member {
				t.Errorf("at %s it says %+v", addr, c)
			}
		}
		f.granted(d1, before, true) // it is the same registration
		if s, _ := d1.Standing(); s.Entry != f.server.Entries(keys.Controller("d1"))[0].ModRev || logged.Len() > 0 {
			t.Errorf("it stands as %+v, and says %v", s, logged.All())
		}
	})
}
