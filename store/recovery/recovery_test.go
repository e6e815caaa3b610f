package recovery_test

import (
	"context"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/recovery"
)

var keys = store.NewKeys("")

// fleet is a store that went back, and what is written to it.
type fleet struct {
	t      *testing.T
	server *memstore.Server
	kv     store.KV
}

// recovering runs a test in virtual time with a store that has a schema and three programs: a, b, c.
func recovering(t *testing.T, test func(f fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		f := fleet{t, s, s.Client("admin")}
		if _, err := store.Init(t.Context(), f.kv, keys, "test"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c"} {
			f.put(keys.Program(name), program(name))
		}
		test(f)
	})
}

func program(name string) api.Program {
	p := spec.Defaults()
	p.Name, p.Command = name, "/bin/"+name
	return p
}

func process(t *testing.T, name string) api.Process {
	t.Helper()
	ps, err := spec.Processes(program(name))
	if err != nil {
		t.Fatal(err)
	}
	return ps[0]
}

func (f fleet) put(key string, value any) {
	f.t.Helper()
	if _, err := f.kv.Txn(f.t.Context(), store.Txn{Then: []store.Op{store.Put(key, store.Encode(value))}}); err != nil {
		f.t.Fatal(err)
	}
}

func (f fleet) options() recovery.Options {
	return recovery.Options{KV: f.kv, Keys: keys, Clock: clock.Go{}, By: "ann@host", ID: rand.Text(), Expand: spec.Processes, Fingerprint: spec.Fingerprint}
}

// held is a run that goes on.
func (f fleet) held(name, instance string, token int64) api.Held {
	return api.Held{Placement: api.Placement{Token: token, Instance: instance, OnPartition: api.PartitionKeep, Process: process(f.t, name)},
		Status: api.Status{Token: token, Instance: instance, OnPartition: api.PartitionKeep, Observed: api.Observed{State: api.Running, PID: 7}}}
}

// report has a machine report.
func (f fleet) report(machine string, tokens int64, held ...api.Held) {
	f.t.Helper()
	r := recovery.Reporter{KV: f.kv, Keys: keys, Clock: clock.Go{}, Machine: machine}
	if err := r.Report(f.t.Context(), api.Seen{Tokens: tokens, Why: "test"}, held); err != nil {
		f.t.Fatal(err)
	}
}

// placed has the store say that a process runs on a machine.
func (f fleet) placed(name, machine, instance string, token int64) {
	f.put(keys.Intent(name), api.Intent{Want: api.WantRun, Restarts: 3})
	f.put(keys.Owner(name), api.Owner{Machine: machine, Instance: instance, Token: token, Placed: true, Restarts: 1})
	f.put(keys.Placement(machine, name), api.Placement{Token: token, Instance: instance, Process: process(f.t, name)})
}

func get[T any](f fleet, key string) (value T, found *store.Entry) {
	f.t.Helper()
	res, err := f.kv.Range(f.t.Context(), store.Range{Key: key})
	if err != nil {
		f.t.Fatal(err)
	}
	if len(res.Entries) == 0 {
		return value, nil
	}
	if value, err = store.Decode[T](res.Entries[0]); err != nil {
		f.t.Fatal(err)
	}
	return value, &res.Entries[0]
}

func TestWhatRunsIsTakenOverAndTheRestPlacedAnew(t *testing.T) {
	recovering(t, func(f fleet) {
		f.placed("a", "m1", "i1", 4) // m2 runs it by now, under a later token
		f.placed("b", "m1", "i1", 5) // nobody runs it
		f.placed("c", "m3", "i3", 6) // on a live machine that believes the store
		f.put(keys.Alive("m3"), api.Alive{Instance: "i3"})
		f.report("m1", 900)
		f.report("m2", 950, f.held("a", "i2", 700))
		plan, err := recovery.Accept(f.t.Context(), f.options())
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Takeover) != 1 || !slices.Equal(plan.Anew, []string{"b"}) || len(plan.Silent) > 0 || plan.Floor < 950+recovery.Slack {
			t.Errorf("the plan is %+v", plan)
		}
		a, _ := get[api.Owner](f, keys.Owner("a"))
		if a.Machine != "m2" || a.Token != 700 || a.Instance != "i2" || !a.Placed || a.Restarts != 3 || a.Spec != spec.Fingerprint(process(t, "a")) {
			t.Errorf("a's owner is %+v", a)
		}
		status, _ := get[api.Status](f, keys.Status("m2", "a"))
		touch, entry := get[api.Touch](f, keys.Touch("m2", "a"))
		if touch.Token != 700 || touch.Instance != "i2" || status.Lease != int64(entry.Lease) || status.OnPartition != api.PartitionKeep {
			t.Errorf("a's touch is %+v on %+v, its status %+v", touch, entry, status)
		}
		if placement, _ := get[api.Placement](f, keys.Placement("m2", "a")); !reflect.DeepEqual(placement, f.held("a", "i2", 700).Placement) {
			t.Errorf("a's placement is %+v", placement)
		}
		for _, key := range []string{keys.Placement("m1", "a"), keys.Placement("m1", "b"), keys.Restoring()} {
			if _, e := get[any](f, key); e != nil {
				t.Errorf("%s is still there", key)
			}
		}
		if b, _ := get[api.Owner](f, keys.Owner("b")); b.Placed || b.Machine != "m1" || b.Token != 5 {
			t.Errorf("b's owner is %+v", b)
		}
		if c, _ := get[api.Owner](f, keys.Owner("c")); !c.Placed {
			t.Errorf("c's owner is %+v", c)
		}
		schema, _ := get[api.Schema](f, keys.Schema())
		if schema.Floor != plan.Floor || schema.RestoredID() == "" || schema.Restored.By != "ann@host" {
			t.Errorf("the schema is %+v", schema)
		}
	})
}

// A leader that has lost its memory believes the store and places what has been fenced where it was. When the store is accepted, the run
// that ended must not come back beside that. Nor may it where it ended: another one may have run since, under a higher token, of which
// nobody is left who could tell.
func TestARunThatEndedIsNotTakenOver(t *testing.T) {
	recovering(t, func(f fleet) {
		f.placed("a", "m2", "i2", 40)
		f.placed("b", "m2", "i2", 41) // m1 still runs it
		f.placed("c", "m1", "i1", 19) // as m1 says, but for its end
		f.put(keys.Alive("m2"), api.Alive{Instance: "i2"})
		a, b, c := f.held("a", "i1", 17), f.held("b", "i1", 18), f.held("c", "i1", 19)
		a.Status.Observed, c.Status.Observed = api.Observed{State: api.Stopped}, api.Observed{State: api.Stopped}
		f.report("m1", 900, a, b, c)
		plan, err := recovery.Accept(f.t.Context(), f.options())
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]struct {
			machine string
			placed  bool
		}{"a": {"m2", true}, "b": {"m1", true}, "c": {"m1", false}} {
			if o, _ := get[api.Owner](f, keys.Owner(name)); o.Machine != want.machine || o.Placed != want.placed {
				t.Errorf("%s's owner is %+v, want %+v", name, o, want)
			}
			_, touch := get[api.Touch](f, keys.Touch("m1", name))
			_, placement := get[api.Placement](f, keys.Placement("m1", name))
			if runs := name == "b"; (touch != nil) != runs || (placement != nil) != runs {
				t.Errorf("m1 may start %s: %v, %v", name, touch, placement)
			}
		}
		if !slices.Equal(plan.Anew, []string{"c"}) {
			t.Errorf("placed anew: %v", plan.Anew)
		}
	})
}

// The touch of a run that is taken over stands until every deadline that the run can have is over, even if its agent never comes back.
func TestTheTouchOfWhatIsTakenOverOutlivesItsDeadline(t *testing.T) {
	recovering(t, func(f fleet) {
		f.report("m1", 900, f.held("a", "i1", 700))
		if _, err := recovery.Accept(f.t.Context(), f.options()); err != nil {
			t.Fatal(err)
		}
		ttl := process(t, "a").TouchTimeout
		time.Sleep(time.Duration(ttl) * time.Second * 13 / 12)
		if _, e := get[api.Touch](f, keys.Touch("m1", "a")); e == nil {
			t.Error("the touch expired before the deadline of a slow clock")
		}
		time.Sleep(10 * time.Second)
		if _, e := get[api.Touch](f, keys.Touch("m1", "a")); e != nil {
			t.Error("the touch stands for ever")
		}
	})
}

// A lease that came back with the store has the number of the one on which a run counts. Were it renewed, the run would live beyond
// the touch that was put for it.
func TestLeasesThatCameBackEnd(t *testing.T) {
	recovering(t, func(f fleet) {
		old, err := f.kv.Grant(f.t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		r := recovery.Reporter{KV: f.kv, Keys: keys, Clock: clock.Go{}, Machine: "m1"}
		if err := r.Report(f.t.Context(), api.Seen{Tokens: 9, Leases: []int64{int64(old.ID), 12345}}, []api.Held{f.held("a", "i1", 7)}); err != nil {
			t.Fatal(err)
		}
		if _, err := recovery.Accept(f.t.Context(), f.options()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.kv.TimeToLive(f.t.Context(), old.ID); !errors.Is(err, store.ErrLeaseNotFound) {
			t.Errorf("the lease of before: %v", err)
		}
		if _, e := get[api.Touch](f, keys.Touch("m1", "a")); e == nil {
			t.Error("what runs has no touch")
		}
	})
}

func TestAfterAWipeIntentsOfWhatRunsAreMadeAndUnknownProgramsAreNamed(t *testing.T) {
	recovering(t, func(f fleet) {
		unknown := f.held("a", "i1", 702)
		unknown.Placement.Process.Group, unknown.Placement.Process.Name, unknown.Placement.Process.Program = "x", "x", "x"
		f.report("m1", 900, f.held("b", "i1", 701), unknown)
		plan, err := recovery.Accept(f.t.Context(), f.options())
		if err != nil || !slices.Equal(plan.Unknown, []string{"x"}) {
			t.Fatalf("%+v, %v", plan, err)
		}
		if i, _ := get[api.Intent](f, keys.Intent("b")); i.Want != api.WantRun {
			t.Errorf("b's intent is %+v", i)
		}
		if _, e := get[api.Intent](f, keys.Intent("x")); e != nil {
			t.Error("x has an intent, though no program asks for it")
		}
	})
}

func TestTheFloorIsAboveAllThatAnybodyHasSeen(t *testing.T) {
	for name, see := range map[string]func(f fleet){
		"an agent": func(f fleet) { f.report("m1", 5_000) },
		"a run":    func(f fleet) { f.report("m1", 10, f.held("a", "i1", 5_000)) },
		"an owner": func(f fleet) { f.put(keys.Owner("a"), api.Owner{Token: 5_000}) },
		"a controller": func(f fleet) {
			r := recovery.Reporter{KV: f.kv, Keys: keys, Clock: clock.Go{}, Controller: "d1"}
			if err := r.Report(f.t.Context(), api.Seen{Tokens: 5_000}, nil); err != nil {
				f.t.Fatal(err)
			}
		},
		"an earlier floor": func(f fleet) { f.put(keys.Schema(), api.Schema{Version: 1, Floor: 5_000}) },
	} {
		t.Run(name, func(t *testing.T) {
			recovering(t, func(f fleet) {
				see(f)
				plan, err := recovery.Look(f.t.Context(), f.options())
				if err != nil || plan.Floor <= 5_000 {
					t.Errorf("the floor is %d, %v", plan.Floor, err)
				}
			})
		})
	}
}

func TestMachinesThatSayNothingAreNamed(t *testing.T) {
	recovering(t, func(f fleet) {
		for _, m := range []string{"reports", "live", "left", "dead", "silent"} {
			f.put(keys.Info(m), api.MachineInfo{Name: m, Instance: "i-" + m, Leaving: m == "left"})
		}
		f.report("reports", 1)
		f.put(keys.Alive("live"), api.Alive{Instance: "i-live"})
		f.put(keys.Dead("dead"), api.ConfirmDead{Instance: "i-dead"})
		plan, err := recovery.Look(f.t.Context(), f.options())
		if err != nil || !slices.Equal(plan.Silent, []string{"dead", "left", "silent"}) {
			t.Errorf("silent: %v, %v", plan.Silent, err)
		}
	})
}

// A machine that falls silent after it was looked at, or whose report comes after that, is not passed over.
func TestWhatChangesUnderAnAcceptanceEndsIt(t *testing.T) {
	recovering(t, func(f fleet) {
		f.put(keys.Info("m1"), api.MachineInfo{Name: "m1", Instance: "i1"})
		f.placed("a", "m1", "i1", 4)
		var silent *recovery.SilentError
		if _, err := recovery.Accept(f.t.Context(), f.options()); !errors.As(err, &silent) || !slices.Equal(silent.Machines, []string{"m1"}) {
			t.Fatalf("m1 is silent: %v", err)
		}
		o := f.options()
		o.Off = []string{"m1"}
		// The report comes when everything is read, and before anything is written.
		o.KV = onFirstWrite{f.kv, sync.OnceFunc(func() { f.report("m1", 900, f.held("a", "i1", 700)) }), keys.Owner("a")}
		plan, err := recovery.Accept(f.t.Context(), o)
		if err != nil || len(plan.Takeover) != 1 || len(plan.Anew) != 0 {
			t.Errorf("the report of m1 came in time: %+v, %v", plan, err)
		}
	})
}

// A large fleet takes longer than the fence, and than the lease of a touch, lasts by itself.
func TestAnAcceptanceMayTakeLongerThanItsFence(t *testing.T) {
	recovering(t, func(f fleet) {
		report := func() { f.report("m1", 900, f.held("a", "i1", 700), f.held("b", "i1", 701), f.held("c", "i1", 702)) }
		report()
		o := f.options()
		o.KV = slow{f.kv, report}
		if plan, err := recovery.Accept(f.t.Context(), o); err != nil || len(plan.Takeover) != 3 {
			t.Errorf("%+v, %v", plan, err)
		}
		if _, e := get[api.Alive](f, keys.Restoring()); e != nil {
			t.Error("nobody may lead after it")
		}
	})
}

// slow takes long to answer each transaction.
type slow struct {
	store.KV
	meanwhile func()
}

func (kv slow) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	res, err := kv.KV.Txn(ctx, t)
	time.Sleep(12 * time.Second)
	kv.meanwhile()
	return res, err
}

// onFirstWrite does something before the first transaction that writes a key.
type onFirstWrite struct {
	store.KV
	do  func()
	key string
}

func (kv onFirstWrite) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	if slices.ContainsFunc(t.Then, func(op store.Op) bool { return op.Key == kv.key }) {
		kv.do()
	}
	return kv.KV.Txn(ctx, t)
}

// Whoever leads cannot write from the beginning of an acceptance on, and a report that ends meanwhile is not taken over.
func TestNobodyLeadsWhileAStoreIsAccepted(t *testing.T) {
	recovering(t, func(f fleet) {
		lead, err := f.server.Client("d1").Campaign(f.t.Context(), keys.Election(), "d1", 5)
		if err != nil {
			t.Fatal(err)
		}
		f.report("m1", 900, f.held("a", "i1", 700))
		if _, err := recovery.Accept(f.t.Context(), f.options()); err != nil {
			t.Fatal(err)
		}
		res, err := f.kv.Txn(f.t.Context(), store.Txn{If: []store.Cmp{lead.Guard()}, Then: []store.Op{store.Put("/written", nil)}})
		if err != nil || res.Succeeded {
			t.Errorf("the leader of before wrote: %+v, %v", res, err)
		}
	})
}

// racing changes something before one of the transactions.
type racing struct {
	store.KV
	before func(t store.Txn)
}

func (r racing) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	r.before(t)
	return r.KV.Txn(ctx, t)
}

func TestAChangeMeanwhileIsReadAgain(t *testing.T) {
	recovering(t, func(f fleet) {
		f.placed("a", "m1", "i1", 4)
		f.report("m1", 900, f.held("a", "i1", 700))
		o, once := f.options(), false
		o.KV = racing{f.kv, func(txn store.Txn) {
			if !once && len(txn.If) > 1 {
				once = true
				f.put(keys.Intent("a"), api.Intent{Want: api.WantRun, Restarts: 9})
			}
		}}
		if _, err := recovery.Accept(f.t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if a, _ := get[api.Owner](f, keys.Owner("a")); a.Restarts != 9 || a.Token != 700 {
			t.Errorf("a's owner is %+v", a)
		}
	})
}

func TestAnAcceptanceThatTookTooLongChangesNothingMore(t *testing.T) {
	recovering(t, func(f fleet) {
		f.report("m1", 900, f.held("a", "i1", 700))
		o := f.options()
		o.KV = racing{f.kv, func(txn store.Txn) {
			if len(txn.If) > 1 {
				if _, err := f.kv.Txn(f.t.Context(), store.Txn{Then: []store.Op{store.Delete(keys.Restoring())}}); err != nil {
					t.Error(err)
				}
			}
		}}
		_, err := recovery.Accept(f.t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "run it again") || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if _, e := get[api.Owner](f, keys.Owner("a")); e != nil {
			t.Error("it wrote while somebody may lead")
		}
	})
}

func TestAReportThatIsRepeatedReplacesTheOneBefore(t *testing.T) {
	recovering(t, func(f fleet) {
		r := recovery.Reporter{KV: f.kv, Keys: keys, Clock: clock.Go{}, Machine: "m1"}
		for _, held := range [][]api.Held{{f.held("a", "i1", 1), f.held("b", "i1", 2)}, {f.held("b", "i1", 2)}} {
			if err := r.Report(f.t.Context(), api.Seen{Tokens: 1}, held); err != nil {
				t.Fatal(err)
			}
		}
		if _, e := get[api.Held](f, keys.Held("m1", "a")); e != nil {
			t.Error("what has ended is still reported")
		}
		if _, e := get[api.Held](f, keys.Held("m1", "b")); e == nil {
			t.Error("what goes on is not reported any more")
		}
		time.Sleep(time.Minute)
		if len(f.server.Entries(keys.Helds("m1"))) > 0 {
			t.Error("the report of a machine that fell silent stands for ever")
		}
	})
}
