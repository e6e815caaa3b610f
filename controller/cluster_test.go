package controller

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// cluster is a memory store with controllers and simple agents in a synctest bubble. It watches
// over what must never be: two placements, two touches or two living copies of one process.
type cluster struct {
	t      testing.TB
	s      *memstore.Server
	admin  *memstore.Client
	keys   store.Keys
	ctx    context.Context
	agents map[string]*agent
	ctls   map[string]*control
	wg     sync.WaitGroup
	settle time.Duration
	asker  Asker
	dir    string // of the controllers' files
	copied string // another one: the state directories are a copy

	mu         sync.Mutex // guards what follows
	violations []string
	placed     map[string]map[string]bool // process -> machines
	touched    map[string]map[string]bool
	copies     map[string][]string // process -> machines with a living copy
	starts     map[string]int
	writes     int // transactions of controllers
	refused    int // of them, whose compares failed, though their controller did not write its own entry meanwhile
	// counts says which of them count; nil is all.
	counts func(store.Txn) bool
	// before and after are called around the n-th of them, from 1 on.
	before, after func(n int, kv *memstore.Client)
}

type control struct {
	*Controller
	member *member.Member
	kv     *memstore.Client
	cancel context.CancelFunc
	done   chan struct{}
}

// inCluster runs a test in a bubble, and fails it when anything forbidden was seen.
func inCluster(t *testing.T, test func(c *cluster)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		c := &cluster{
			t: t, dir: dir, keys: store.NewKeys(store.DefaultPrefix), ctx: ctx,
			agents: map[string]*agent{}, ctls: map[string]*control{}, settle: 15 * time.Second,
			placed: map[string]map[string]bool{}, touched: map[string]map[string]bool{},
			copies: map[string][]string{}, starts: map[string]int{},
		}
		c.s = memstore.New(memstore.Options{OnCommit: c.observe})
		c.admin = c.s.Client("admin")
		if _, err := store.Init(ctx, c.admin, c.keys, "test"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			cancel()
			c.wg.Wait()
			c.s.Close()
			for _, v := range c.violations {
				t.Error(v)
			}
		}()
		test(c)
	})
}

// observe sees every revision.
func (c *cluster) observe(rev int64, events []store.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		name, err := c.keys.Parse(e.Entry.Key)
		if err != nil {
			continue
		}
		var where map[string]map[string]bool
		switch name.Kind {
		case store.KindPlacement:
			where = c.placed
		case store.KindTouch:
			where = c.touched
		default:
			continue
		}
		if where[name.ID] == nil {
			where[name.ID] = map[string]bool{}
		}
		if e.Kind == store.ChangeDelete {
			delete(where[name.ID], name.Machine)
		} else {
			where[name.ID][name.Machine] = true
		}
	}
	for what, where := range map[string]map[string]map[string]bool{"placements": c.placed, "touches": c.touched} {
		for id, on := range where {
			if len(on) > 1 {
				c.violations = append(c.violations, fmt.Sprintf("revision %d: %s has %s on %v", rev, id, what, on))
			}
		}
	}
}

// began and ended are a copy's life.
func (c *cluster) began(process, machine string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts[process]++
	if on := c.copies[process]; len(on) > 0 {
		c.violations = append(c.violations, fmt.Sprintf("%s starts on %s while it lives on %v", process, machine, on))
	}
	c.copies[process] = append(c.copies[process], machine)
}

func (c *cluster) ended(process, machine string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left []string
	for _, m := range c.copies[process] {
		if m != machine {
			left = append(left, m)
		}
	}
	c.copies[process] = left
}

// runsOn is where a copy lives, "" for nowhere.
func (c *cluster) runsOn(process string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on := c.copies[process]; len(on) > 0 {
		return on[0]
	}
	return ""
}

func (c *cluster) started(process string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starts[process]
}

// controller starts a replica.
func (c *cluster) controller(id string) *control {
	ctx, cancel := context.WithCancel(c.ctx)
	kv := c.s.Client(id)
	ctl := &control{kv: kv, cancel: cancel, done: make(chan struct{})}
	host := api.HostIdentity{Name: "h", BootID: "b", MachineID: "m", Directory: id + c.copied}
	ctl.member = member.New(member.Options{KV: kv, Keys: c.keys, Self: api.Controller{ID: id}, Host: host,
		File: filepath.Join(c.dir, id), Clock: clock.Go{}})
	ctl.Controller = New(Options{
		KV: countWrites{kv, c}, Keys: c.keys, ID: id, Member: ctl.member, Settle: c.settle, Expand: spec.Processes, Fingerprint: spec.Fingerprint,
		Asker: c.asker, Clock: clock.Go{}, Log: zap.NewNop(),
		History: store.NewHistory(kv, c.keys, "leader "+id, clock.Go{}),
	})
	c.ctls[id] = ctl
	c.wg.Go(func() {
		defer close(ctl.done)
		if err := ctl.Run(ctx); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.violations = append(c.violations, "Run: "+err.Error())
		}
	})
	return ctl
}

// stop ends a replica and waits for it.
func (ctl *control) stop() {
	ctl.cancel()
	<-ctl.done
}

// countWrites counts the transactions of controllers.
type countWrites struct {
	*memstore.Client
	c *cluster
}

func (k countWrites) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	k.c.mu.Lock()
	if k.c.counts != nil && !k.c.counts(t) {
		k.c.mu.Unlock()
		return k.Client.Txn(ctx, t)
	}
	k.c.writes++
	n, before, after := k.c.writes, k.c.before, k.c.after
	k.c.mu.Unlock()
	if before != nil {
		before(n, k.Client)
	}
	res, err := k.Client.Txn(ctx, t)
	if after != nil {
		after(n, k.Client)
	}
	if err == nil && !res.Succeeded && !k.reregistered(t) {
		k.c.mu.Lock()
		k.c.refused++
		k.c.mu.Unlock()
	}
	return res, err
}

// reregistered reports whether a transaction failed since its controller has written its own entry anew, as it does for a newcomer that
// waits for its word: then it is made again.
func (k countWrites) reregistered(t store.Txn) bool {
	return slices.ContainsFunc(t.If, func(cmp store.Cmp) bool {
		name, err := k.c.keys.Parse(cmp.Key)
		if err != nil || name.Kind != store.KindController {
			return false
		}
		entries := k.c.s.Entries(cmp.Key)
		return len(entries) == 1 && entries[0].ModRev != cmp.Rev
	})
}

// around sets what happens around the writes of controllers.
func (c *cluster) around(before, after func(n int, kv *memstore.Client)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before, c.after = before, after
}

// countPlacements makes only those count that change an owner: when a machine dies the leader notes that at the same time, and
// either write may come first.
func (c *cluster) countPlacements() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = func(t store.Txn) bool {
		return slices.ContainsFunc(t.Then, func(o store.Op) bool { return strings.HasPrefix(o.Key, c.keys.Owners()) })
	}
}

func (c *cluster) written() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// depose ends the oldest election session, as its expiry does. It may be called from within Inject.
func (c *cluster) depose() {
	entries := c.s.Entries(c.keys.Election() + "/")
	if len(entries) == 0 {
		return
	}
	first := entries[0]
	for _, e := range entries {
		if e.CreateRev < first.CreateRev {
			first = e
		}
	}
	_ = c.admin.Revoke(c.ctx, first.Lease)
}

func (c *cluster) put(key string, v any) {
	c.t.Helper()
	if _, err := c.admin.Txn(c.ctx, store.Txn{Then: []store.Op{store.Put(key, store.Encode(v))}}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) delete(key string) {
	c.t.Helper()
	if _, err := c.admin.Txn(c.ctx, store.Txn{Then: []store.Op{store.Delete(key)}}); err != nil {
		c.t.Fatal(err)
	}
}

// get reads a value; nil when the key is absent.
func get[T any](c *cluster, key string) *T {
	c.t.Helper()
	res, err := c.admin.Range(c.ctx, store.Range{Key: key})
	if err != nil {
		c.t.Fatal(err)
	}
	if len(res.Entries) == 0 {
		return nil
	}
	v, err := store.Decode[T](res.Entries[0])
	if err != nil {
		c.t.Fatal(err)
	}
	return &v
}

func (c *cluster) owner(process string) api.Owner {
	if o := get[api.Owner](c, c.keys.Owner(process)); o != nil {
		return *o
	}
	return api.Owner{}
}

func (c *cluster) program(name string, copies int, edit ...func(*api.Program)) {
	p := api.Program{
		Name: name, Numprocs: copies, ProcessName: "%(program_name)s", MaxFailCount: 3,
		Settings: api.Settings{Command: "/bin/" + name, StopSignal: "TERM", TouchTimeout: 5, Stdout: api.Log{File: "NONE"}, Stderr: api.Log{File: "NONE"}},
	}
	if copies > 1 {
		p.ProcessName = "%(process_num)d"
	}
	for _, e := range edit {
		e(&p)
	}
	c.put(c.keys.Program(name), p)
	procs, err := spec.Processes(p)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, proc := range procs {
		c.want(proc.ID())
	}
}

func (c *cluster) want(process string, edit ...func(*api.Intent)) {
	i := get[api.Intent](c, c.keys.Intent(process))
	if i == nil {
		i = &api.Intent{Want: api.WantRun, By: "ann@host"}
	}
	for _, e := range edit {
		e(i)
	}
	c.put(c.keys.Intent(process), i)
}

func stopIt(i *api.Intent)    { i.Want = api.WantStop }
func startIt(i *api.Intent)   { i.Want = api.WantRun; i.Restarts++ }
func restartIt(i *api.Intent) { i.Restarts++ }
func moveIt(to string) func(*api.Intent) {
	return func(i *api.Intent) { i.Moves++; i.To = to }
}

// await waits until cond holds, at most two minutes of virtual time.
func (c *cluster) await(what string, cond func() bool) {
	c.t.Helper()
	for range 12000 {
		if cond() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatalf("never: %s\n%s", what, c.show())
}

// awaitAlive waits until so many machines are alive.
func (c *cluster) awaitAlive(n int) {
	c.t.Helper()
	c.await(fmt.Sprintf("%d machines are alive", n), func() bool {
		alive := 0
		for name := range c.agents {
			alive += len(c.s.Entries(c.keys.Alive(name)))
		}
		return alive == n
	})
}

// awaitRun waits until the process lives on the machine.
func (c *cluster) awaitRun(process, machine string) {
	c.t.Helper()
	c.await(process+" runs on "+machine, func() bool { return c.runsOn(process) == machine })
}

// stays checks that cond holds for a while.
func (c *cluster) stays(what string, d time.Duration, cond func() bool) {
	c.t.Helper()
	for range int(d / (50 * time.Millisecond)) {
		if !cond() {
			c.t.Fatalf("not so any more: %s\n%s", what, c.show())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *cluster) show() string {
	out := ""
	for _, e := range c.s.Entries(c.keys.Root()) {
		out += fmt.Sprintf("%s @%d %s\n", e.Key, e.ModRev, e.Value)
	}
	return out
}
