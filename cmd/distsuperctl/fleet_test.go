package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/agentd"
	"github.com/distsuper/distsuper/agentd/keeper/keepertest"
	"github.com/distsuper/distsuper/controller"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // tables show local time
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// fleet is a store in memory with a real controller, real agents and keepers in memory, in virtual time.
type fleet struct {
	t      *testing.T
	server *memstore.Server
	keys   store.Keys
	kv     *memstore.Client // distsuperctl's
	// reads is what distsuperctl reads instead of kv; nil is kv itself.
	reads store.KV

	boxes map[string]*box
	lead  *box // the controller
}

// box is something that runs until it is stopped.
type box struct {
	kv     *memstore.Client
	keeper *keepertest.Fake
	cancel context.CancelFunc
	ended  chan error
}

func (b *box) run(ctx context.Context, work func(context.Context) error) {
	ctx, b.cancel = context.WithCancel(ctx)
	b.ended = make(chan error, 1)
	go func() { b.ended <- work(ctx) }()
}

func (b *box) stop() {
	b.cancel()
	<-b.ended
}

// inFleet runs a test with a controller and some machines.
func inFleet(t *testing.T, machines []string, test func(t *testing.T, f *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		f := &fleet{t: t, server: s, keys: store.NewKeys(""), kv: s.Client("ctl"), boxes: map[string]*box{}}
		defer f.kv.Close()
		if _, err := store.Init(t.Context(), f.kv, f.keys, "test"); err != nil {
			t.Fatal(err)
		}
		f.startController()
		for _, m := range machines {
			f.startMachine(m)
		}
		time.Sleep(time.Second)
		defer f.close()
		test(t, f)
	})
}

func (f *fleet) close() {
	for _, b := range f.boxes {
		b.stop()
		b.keeper.Close()
	}
	if f.lead != nil {
		f.lead.stop()
	}
}

func (f *fleet) startController() {
	kv := f.server.Client("d1")
	c := controller.New(controller.Options{KV: kv, Keys: f.keys, ID: "d1", Expand: spec.Processes, Fingerprint: spec.Fingerprint,
		Settle: -1, History: store.NewHistory(kv, f.keys, "leader d1", clock.Go{}), Clock: clock.Go{}})
	f.lead = &box{kv: kv}
	f.lead.run(context.Background(), c.Run)
}

func (f *fleet) startMachine(name string) {
	f.t.Helper()
	kv := f.server.Client(name)
	b := &box{kv: kv, keeper: keepertest.New(f.t, keepertest.Options{Clock: clock.Go{}, Machine: name})}
	history := store.NewHistory(kv, f.keys, "agent "+name, clock.Go{})
	a, err := agentd.New(agentd.Options{Machine: name, KV: kv, Keys: f.keys, Keeper: b.keeper, Clock: clock.Go{},
		Host: api.HostIdentity{Name: "host-" + name}, PID: 100,
		Info: api.MachineInfo{Name: name, Version: "test"}, History: history.Op, HistoryLost: history.Forget})
	if err != nil {
		f.t.Fatal(err)
	}
	b.run(context.Background(), a.Run)
	f.boxes[name] = b
}

// kill ends a machine at once: nobody says goodbye.
func (f *fleet) kill(name string) {
	b := f.boxes[name]
	delete(f.boxes, name)
	b.kv.Cut()
	b.stop()
	b.keeper.Close()
}

// output is a buffer that two goroutines may use.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed by the next Write, when somebody waits for it
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.b.Write(p)
}

// await waits until a text has been written.
func (o *output) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(patience)
	for {
		o.mu.Lock()
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more, said := o.more, o.b.String()
		o.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("it does not say %q; it said %s", text, said)
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// session is one distsuperctl with what it said.
type session struct {
	*ctl
	stdout, stderr *output
}

func (f *fleet) session() *session {
	s := &session{stdout: &output{}, stderr: &output{}}
	s.ctl = newCtl(strings.NewReader(""), s.stdout, s.stderr)
	s.ctl.kv, s.ctl.keys, s.ctl.who = f.kv, f.keys, "ann@desk"
	if f.reads != nil {
		s.ctl.kv = f.reads
	}
	s.ctl.client = client.New(s.ctl.kv, f.keys, "ann@desk")
	return s
}

// ran is what a command line did.
type ran struct {
	code        int
	out, errout string
}

// ctl runs one command line.
func (f *fleet) ctl(args ...string) ran {
	f.t.Helper()
	s := f.session()
	code := execute(f.t.Context(), s.ctl, args)
	return ran{code, s.stdout.String(), s.stderr.String()}
}

// wants runs a command line and compares exit code and stdout.
func (f *fleet) wants(code int, out string, args ...string) ran {
	f.t.Helper()
	r := f.ctl(args...)
	if r.code != code || out != "*" && r.out != out {
		f.t.Errorf("distsuperctl %s: exit %d, said\n%s%s\nwant exit %d and\n%s", strings.Join(args, " "), r.code, r.out, r.errout, code, out)
	}
	return r
}

// load makes these the programs of the fleet.
func (f *fleet) load(programs ...api.Program) {
	f.t.Helper()
	s := f.session()
	if err := runLoad(f.t.Context(), s.ctl, loadOptions{yes: true}, "file", programs); err != nil {
		f.t.Fatal(err)
	}
}

func program(name string, change func(*api.Program)) api.Program {
	p := client.Program(name, "/bin/sleep 1000")
	p.Autostart, p.TouchTimeout = false, 2
	if change != nil {
		change(&p)
	}
	return p
}

// copies is a program of n processes.
func copies(name string, n int) api.Program {
	return program(name, func(p *api.Program) { p.Numprocs, p.ProcessName = n, name+"_%(process_num)d" })
}

// state finds a process's state and machine.
func (f *fleet) state(name string) string {
	f.t.Helper()
	snap, err := client.New(f.kv, f.keys, "x").Snapshot(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	p := snap.Process(name)
	if p == nil {
		return "none"
	}
	if p.Owner == nil {
		return p.State.String()
	}
	return p.State.String() + " on " + p.Owner.Machine
}

// await waits until a process is so.
func (f *fleet) await(name, state string) {
	f.t.Helper()
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if last = f.state(name); last == state {
			return
		}
	}
	f.t.Fatalf("%s is %s, want %s", name, last, state)
}

func TestUsersFirstHourGoesAsWritten(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("test", nil))
		f.wants(exitDead, "test                             STOPPED   -  Not started\n", "status")
		f.wants(exitOK, "test: started\n", "start", "test")
		f.wants(exitOK, "test: ERROR (already started)\n", "start", "test")
		f.wants(exitOK, "test                             RUNNING   m1  pid 1001, uptime 0:00:01\n", "status")
		f.wants(exitOK, "test: stopped\ntest: started\n", "restart", "test")
		f.wants(exitOK, "test: stopped\n", "stop", "test")
		f.wants(exitOK, "test: ERROR (not running)\n", "stop", "test")
		f.wants(exitOK, "", "stop", "all") // of many, what is down is not worth a word
		f.wants(exitOK, "test: ERROR (not running)\ntest: started\n", "restart", "test")
		f.wants(exitOK, "", "start", "all")
		f.wants(exitGeneric, "ERROR: process/group still running: test\n", "remove", "test")
		f.wants(exitOK, "test: removed process group\n", "remove", "test", "--stop")
		f.await("test", "none")
		f.wants(exitGeneric, "test: ERROR (no such process)\n", "start", "test")
	})
}

func TestStartWaitsForWhatIsStartingAlready(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("slow", func(p *api.Program) { p.StartSecs, p.Autostart = 30, true }))
		f.await("slow", "STARTING on m1")
		f.wants(exitOK, "slow: started\n", "start", "slow")
		if got := f.state("slow"); got != "RUNNING on m1" {
			t.Errorf("it is %s", got)
		}
	})
}

func TestEveryOutcomeOfAStartIsSaidAndHasItsExitCode(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("good", nil), program("absent", nil), program("tired", func(p *api.Program) { p.StartRetries = 0 }),
			program("job", func(p *api.Program) { p.StartSecs, p.Autorestart = 0, api.RestartNever }),
			program("nowhere", func(p *api.Program) { p.Machines = []string{"zone=q"} }),
			program("later", func(p *api.Program) { p.Machines = []string{"zone=q"} }))
		k := f.boxes["m1"].keeper
		k.Refuse("absent", api.FaultNoFile, "can't find command '/x'")
		f.wants(exitGeneric, "absent: ERROR (no such file): can't find command '/x'\n", "start", "absent")
		f.wants(exitGeneric, "nowhere: ERROR (failed): no machine can take it (m1: not one of machines = zone=q)\n", "start", "nowhere")
		go func() {
			time.Sleep(500 * time.Millisecond)
			_ = k.GoFatal("tired")
		}()
		f.wants(exitNotRunning, "tired: ERROR (spawn error): Exited too quickly (process log may have details)\n", "start", "tired")
		f.wants(exitUsage, "good: started\nnone: ERROR (no such group)\n", "start", "good", "none:*")
		r := f.wants(exitGeneric, "godo: ERROR (no such process)\n", "start", "godo")
		if !strings.Contains(r.errout, "did you mean good?") {
			t.Errorf("no help: %s", r.errout)
		}
		f.wants(exitUsage, "*", "start")
		f.wants(exitOK, "job: start asked\n", "start", "job", "--no-wait")
		f.wants(exitOK, "later: start asked\n", "start", "later", "--no-wait") // which nothing can start in between
		f.wants(exitOK, "later: already asked\n", "start", "later", "--no-wait")
	})
}

func TestStartSaysThatNoControllerAnswers(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.lead.stop()
		f.lead = nil
		f.load(program("web", nil))
		r := f.wants(exitGeneric, "*", "start", "web")
		if !strings.Contains(r.out, "is distsuperd running?") {
			t.Error(r.out)
		}
		f.wants(exitGeneric, "web: ERROR (failed): not done within 2s, and it goes on; STARTING (waiting for a controller to place it)\n",
			"start", "web", "--timeout", "2s")
		f.startController()
		f.await("web", "RUNNING on m1")
	})
}

func TestWaitingSurvivesAnOutageOfEtcdAndALeaderChange(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", func(p *api.Program) { p.StartSecs = 20 }))
		go func() {
			time.Sleep(3 * time.Second)
			f.server.Restart(2 * time.Second)
			time.Sleep(3 * time.Second)
			f.lead.stop()
			f.startController()
		}()
		r := f.wants(exitOK, "web: started\n", "start", "web")
		if !strings.Contains(r.errout, "etcd does not answer") || !strings.Contains(r.errout, "etcd answers again") {
			t.Errorf("the outage was not told: %s", r.errout)
		}
	})
}

func TestDeadMachineShowsHonestlyAndItsProcessesMove(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		// The machine's sign of life is on the shorter lease, web's touch on the longer one.
		f.load(program("quick", nil), program("web", func(p *api.Program) { p.TouchTimeout = 20 }))
		f.wants(exitOK, "quick: started\nweb: started\n", "start", "quick", "web")
		f.wants(exitOK, "web: moved to m1\n", "move", "web", "m1")
		f.kill("m1")
		f.await("web", "UNKNOWN on m1")
		r := f.ctl("status", "web")
		if r.code != exitDead || !strings.Contains(r.out, "UNKNOWN   m1  m1 is not live, silent since 00:00:") {
			t.Errorf("exit %d: %s", r.code, r.out)
		}
		f.await("web", "RUNNING on m2")
		f.wants(exitOK, "m1: forgotten\n", "machines", "forget", "m1")
		if r := f.ctl("why", "web"); !strings.Contains(r.out, "the run before was dead: lease expired") {
			t.Error(r.out)
		}
	})
}

func TestMachinesAreCordonedDrainedAndRebalanced(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(copies("web", 4))
		f.wants(exitOK, "web:web_0: started\nweb:web_1: started\nweb:web_2: started\nweb:web_3: started\n", "start", "web:web_0", "web:web_1", "web:web_2", "web:web_3")
		f.boxes["m1"].kv.Cut()
		if r := f.wants(exitGeneric, "", "drain", "m1", "--timeout", "1ns"); !strings.Contains(r.errout, "m1 was not empty within 1ns") {
			t.Errorf("a drain that has no time to look said %s", r.errout)
		}
		f.boxes["m1"].kv.Heal()
		f.wants(exitOK, "m1: drained\n", "drain", "m1")
		for i := range 4 {
			f.await(fmt.Sprintf("web:web_%d", i), "RUNNING on m2")
		}
		f.wants(exitOK, `MACHINE  STATE           PROCESSES  LABELS  ADDRESSES  VERSION
m1       live, draining  0          -       -          test, keeper fake
m2       live            4          -       -          test, keeper fake
`, "machines")
		f.wants(exitOK, "m1: uncordoned\n", "uncordon", "m1")
		if r := f.wants(exitOK, "*", "rebalance", "--dry-run"); strings.Count(r.out, "m2 -> m1") != 2 {
			t.Error(r.out)
		}
		f.wants(exitOK, "*", "rebalance")
		time.Sleep(5 * time.Second)
		f.wants(exitOK, "nothing would be placed elsewhere now\n", "rebalance")
		f.wants(exitOK, "m2: cordoned\n", "cordon", "m2")
		f.load(program("last", nil))
		f.wants(exitOK, "*", "start", "last")
		if r := f.wants(exitGeneric, "", "drain", "m1"); !strings.Contains(r.errout, "no other machine can take") || !strings.Contains(r.errout, "--stop-unplaceable") {
			t.Error(r.errout)
		}
		f.await("last", "RUNNING on m1")
		f.wants(exitOK, "m1: drained\n", "drain", "m1", "--stop-unplaceable")
		time.Sleep(time.Second) // the leader says what waits when it has nothing more urgent to do
		if r := f.ctl("why", "last"); !strings.Contains(r.out, "no machine can take it") {
			t.Error(r.out)
		}
		f.wants(exitOK, "m2: already cordoned\n", "cordon", "m2")
		if r := f.wants(exitGeneric, "*", "cordon", "m3"); !strings.Contains(r.errout, "known are m1, m2") {
			t.Error(r.errout)
		}
	})
}

func TestMoveSaysWhereToOrWhyNot(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("web", func(p *api.Program) { p.Machines = []string{"m1", "m2"} }))
		f.wants(exitOK, "web: started\n", "start", "web")
		f.wants(exitOK, "web: moved to m2\n", "move", "web")
		f.wants(exitOK, "web: moved to m1\n", "move", "web:web", "m1")
		f.wants(exitOK, "m2: cordoned\n", "cordon", "m2")
		if r := f.wants(exitGeneric, "*", "move", "web", "m2"); !strings.Contains(r.out, "not moved: m2: ") {
			t.Error(r.out)
		}
		if got := f.state("web"); got != "RUNNING on m1" {
			t.Errorf("after a move that is not possible it is %s", got)
		}
		f.wants(exitOK, "web: stopped\n", "stop", "web")
		f.wants(exitGeneric, "", "move", "web")
	})
}

func TestLoadAsksBeforeItStopsWhatRuns(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil), program("db", nil))
		f.wants(exitOK, "db: started\nweb: started\n", "start", "db", "web")
		try := func(o loadOptions, answer string, terminal bool) (*session, error) {
			s := f.session()
			s.in, s.terminal = strings.NewReader(answer), terminal
			return s, runLoad(t.Context(), s.ctl, o, "file", []api.Program{program("web", nil)})
		}
		if _, err := try(loadOptions{}, "", false); err == nil || !strings.Contains(err.Error(), "would stop db") || !strings.Contains(err.Error(), "--yes") {
			t.Errorf("without a terminal: %v", err)
		}
		if s, err := try(loadOptions{}, "n\n", true); err == nil || !strings.Contains(s.stderr.String(), "Stop 1 running process?") {
			t.Errorf("with a no: %v", err)
		}
		if s, err := try(loadOptions{dryRun: true}, "", false); err != nil || !strings.Contains(s.stdout.String(), "running, and stopped by this: db") {
			t.Errorf("a dry run: %v\n%s", err, s.stdout)
		}
		if got := f.state("db"); got != "RUNNING on m1" {
			t.Fatalf("a load that was not done made db %s", got)
		}
		if _, err := try(loadOptions{}, "y\n", true); err != nil {
			t.Fatal(err)
		}
		f.await("db", "none")
	})
}

func TestDropIsRefusedWhileASilentMachineMayRunSomething(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		f.wants(exitOK, "web: started\n", "start", "web")
		f.kill("m1")
		time.Sleep(10 * time.Second)
		err := runInitDB(t.Context(), f.session().ctl, initDBOptions{drop: true, yes: true})
		if err == nil || !strings.Contains(err.Error(), "machine m1 is silent and may still run web") {
			t.Fatalf("drop: %v", err)
		}
	})
}

func TestDropIsRefusedWhileTheFleetLives(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		f.wants(exitOK, "web: started\n", "start", "web")
		s := f.session()
		err := runInitDB(t.Context(), s.ctl, initDBOptions{drop: true, yes: true})
		if used := new(store.InUseError); !errors.As(err, &used) || len(used.Machines) != 1 || len(used.Touches) != 1 {
			t.Errorf("drop: %v", err)
		}
		f.wants(exitOK, "web: stopped\n", "stop", "web")
		f.kill("m1")
		time.Sleep(10 * time.Second)
		if err := runInitDB(t.Context(), s.ctl, initDBOptions{drop: true}); err == nil || !strings.Contains(err.Error(), "--yes") {
			t.Errorf("without a terminal: %v", err)
		}
		if err := runInitDB(t.Context(), s.ctl, initDBOptions{drop: true, yes: true}); err != nil {
			t.Error(err)
		}
		if got := s.stdout.String(); got != "dropped and created the key space at /distsuper/\n" {
			t.Error(got)
		}
		f.wants(exitOK, "the key space at /distsuper/ is there already\n", "init", "db")
	})
}
