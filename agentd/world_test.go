package agentd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/keepertest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// world is an etcd in memory, machines with an agent and a keeper each, and the test in the place of
// the leader. It lives in a synctest bubble.
type world struct {
	t       *testing.T
	s       *memstore.Server
	leader  *memstore.Client
	keys    store.Keys
	witness *keepertest.Witness
	boxes   []*box
	// controllers are asked for promises by the boxes that hold.
	controllers *fakeControllers

	log *zap.Logger
}

// box is one machine.
type box struct {
	w      *world
	name   string
	kv     *memstore.Client
	keeper *keepertest.Fake
	agent  *Agent
	cancel context.CancelFunc
	ended  chan error
	host   api.HostIdentity
	revive func(context.Context) error
	search func(ctx context.Context, instance string) error
	// through stands between agent and keeper, nil is nothing.
	through keeper.Keeper
	// etcd stands between agent and kv, nil is nothing.
	etcd  store.KV
	alone bool // no controller can be reached
}

func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := zap.NewNop()
		if testing.Verbose() {
			log = zaptest.NewLogger(t)
		}
		s := memstore.New(memstore.Options{})
		w := &world{t: t, s: s, leader: s.Client("leader"), keys: store.NewKeys(store.DefaultPrefix), witness: keepertest.NewWitness(), log: log}
		defer s.Close()
		defer w.end()
		test(t, w)
	})
}

// end stops every agent and keeper, and says whether two copies of a process ever ran at once.
func (w *world) end() {
	for _, b := range w.boxes {
		_ = b.stop()
		b.keeper.Close()
	}
	if got := w.witness.Overlaps(); len(got) > 0 {
		w.t.Errorf("two copies at once: %s", strings.Join(got, "; "))
	}
}

// box makes a machine with a keeper; start runs its agent.
func (w *world) box(name string) *box {
	b := &box{w: w, name: name, kv: w.s.Client(name), host: hostOf("host-"+name, "boot-"+name),
		keeper: keepertest.New(w.t, keepertest.Options{Clock: clock.Go{}, Machine: name, Witness: w.witness})}
	w.boxes = append(w.boxes, b)
	return b
}

// hostOf is a host of which everything can be read, and named after it but its boot.
func hostOf(name, boot string) api.HostIdentity {
	return api.HostIdentity{Name: name, BootID: boot, MachineID: "id-" + name, Hardware: "serial-" + name, Directory: "dir-" + name}
}

func (b *box) start() *box {
	b.w.t.Helper()
	var k keeper.Keeper = b.keeper
	if b.through != nil {
		k = b.through
	}
	var kv store.KV = b.kv
	if b.etcd != nil {
		kv = b.etcd
	}
	history := store.NewHistory(kv, b.w.keys, "agent "+b.name, clock.Go{})
	o := Options{Machine: b.name, KV: kv, Keys: b.w.keys, Keeper: k, Clock: clock.Go{}, Log: b.w.log.Named(b.name),
		Host: b.host, PID: 100, Info: api.MachineInfo{Name: b.name, Version: "test"}, Revive: b.revive, SearchHost: b.search,
		History: history.Op, HistoryLost: history.Forget}
	if c := b.w.controllers; c != nil {
		o.Controllers, o.Ask = c.read(b), c.ask(b)
	}
	a, err := New(o)
	if err != nil {
		b.w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.w.t.Context())
	b.agent, b.cancel, b.ended = a, cancel, make(chan error, 1)
	go func() { b.ended <- a.Run(ctx) }()
	return b
}

// up starts the agent and waits until it has claimed its name.
func (b *box) up() *box {
	b.w.t.Helper()
	b.start()
	b.w.await(b.name+" claimed", func() string {
		if a, ok := get[api.Alive](b.w, b.w.keys.Alive(b.name)); !ok || a.Instance != b.keeper.Instance() {
			return fmt.Sprintf("alive is %+v", a)
		}
		return ""
	})
	return b
}

// stop ends the agent; its keeper and processes go on.
func (b *box) stop() error {
	if b.cancel == nil {
		return nil
	}
	b.cancel()
	b.cancel = nil
	return <-b.ended
}

// await waits in virtual time until cond has no complaint.
func (w *world) await(what string, cond func() string) {
	w.t.Helper()
	w.awaitFor(time.Minute, what, cond)
}

func (w *world) awaitFor(most time.Duration, what string, cond func() string) {
	w.t.Helper()
	var why string
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if why = cond(); why == "" {
			return
		}
	}
	w.t.Fatalf("%s: not within %v: %s", what, most, why)
}

// get reads one value, past every fault.
func get[T any](w *world, key string) (T, bool) {
	w.t.Helper()
	var none T
	for _, e := range w.s.Entries(key) {
		if e.Key == key {
			v, err := store.Decode[T](e)
			if err != nil {
				w.t.Fatal(err)
			}
			return v, true
		}
	}
	return none, false
}

func (w *world) entry(key string) (store.Entry, bool) {
	for _, e := range w.s.Entries(key) {
		if e.Key == key {
			return e, true
		}
	}
	return store.Entry{}, false
}

func (w *world) write(ops ...store.Op) int64 {
	w.t.Helper()
	res, err := w.leader.Txn(w.t.Context(), store.Txn{Then: ops})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.Rev
}

// process is one that runs until it is ended.
func process(name string) api.Process {
	return api.Process{Group: name, Name: name, Program: name, Settings: api.Settings{Command: "/bin/" + name, Priority: 999,
		StartSecs: 1, StartRetries: 3, Autorestart: api.RestartUnexpected, ExitCodes: []int{0}, StopSignal: "TERM",
		StopWaitSecs: 10, TouchTimeout: 5}}
}

// place writes a placement with a new token, as the leader does; change may alter it.
func (w *world) place(b *box, name string, change ...func(*api.Placement)) int64 {
	w.t.Helper()
	p := api.Placement{Token: w.s.Rev(), Instance: b.keeper.Instance(), OnPartition: api.PartitionStop, Process: process(name)}
	for _, c := range change {
		c(&p)
	}
	w.write(store.Put(w.keys.Placement(b.name, p.Process.ID()), store.Encode(p)))
	return p.Token
}

func (w *world) remove(b *box, name string) { w.write(store.Delete(w.keys.Placement(b.name, name))) }

func keep(p *api.Placement) { p.OnPartition = api.PartitionKeep }

// status waits until the process's status fits, with its touch there exactly while it is not released.
func (w *world) status(b *box, name string, token int64, fits func(api.Status) bool) api.Status {
	w.t.Helper()
	var st api.Status
	w.await(fmt.Sprintf("the status of %s on %s under token %d", name, b.name, token), func() string {
		var ok bool
		st, ok = get[api.Status](w, w.keys.Status(b.name, name))
		touch, touched := get[api.Touch](w, w.keys.Touch(b.name, name))
		if !ok || st.Token != token || !fits(st) || touched == st.Released || touched && touch.Token != token {
			return fmt.Sprintf("status %+v, touch %+v (%v)", st, touch, touched)
		}
		return ""
	})
	return st
}

func running(s api.Status) bool  { return s.State == api.Running }
func released(s api.Status) bool { return s.Released }

// forgotten waits until the keeper has no run of the process.
func (w *world) forgotten(b *box, name string) {
	w.t.Helper()
	w.await(name+" forgotten", func() string {
		if r, ok := b.keeper.Run(name); ok {
			return fmt.Sprintf("%+v", r)
		}
		return ""
	})
}

// history is what history says of a process, by the time at which it happened.
func (w *world) history(name string) (all []api.HistoryEntry) {
	for _, e := range w.s.Entries(w.keys.History(store.ProcessSubject(name))) {
		ev, err := store.Decode[api.HistoryEntry](e)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, ev)
	}
	slices.SortStableFunc(all, func(a, b api.HistoryEntry) int { return a.At.Compare(b.At) })
	return all
}

// events lists what history says happened to a process.
func (w *world) events(name string) (what []string) {
	for _, e := range w.history(name) {
		what = append(what, e.What)
	}
	return what
}

func wantEnd(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("the agent ended with %v, want %v", err, want)
	}
}
