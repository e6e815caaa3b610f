package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
)

// kill sends SIGKILL to the node's processes of a name, of which there must be some.
func (f *fixture) kill(n *cluster.Node, name string) {
	f.t.Helper()
	killed := map[int]string{}
	for _, pid := range n.PIDs(name) {
		killed[pid] = startTime(pid)
	}
	if len(killed) == 0 || n.Signal(unix.SIGKILL, name) == 0 {
		f.t.Fatalf("%s runs no %s to kill", n.Name, name)
	}
	f.until("the killed is gone, with its locks", func() (bool, string) {
		for pid, start := range killed {
			// Not by its environment, which goes before its files do. A zombie has none any more.
			if startTime(pid) == start && !isZombie(pid) {
				return false, fmt.Sprintf("%d is there", pid)
			}
		}
		return true, ""
	})
}

// since is satisfied by processes that run and were started anew since before; others must be as they were.
func since(before map[string]life, hit func(name string) bool) func(client.Process) bool {
	return func(p client.Process) bool {
		b := before[p.Name]
		if !fleet.Runs(p) || !hit(p.Name) {
			return fleet.Runs(p)
		}
		return p.Owner.Token > b.Token || p.Status.Starts > b.Starts
	}
}

func on(before map[string]life, machine string) func(string) bool {
	return func(name string) bool { return before[name].Machine == machine }
}

// kept fails the test for each process that was not hit and yet is another now.
func (f *fixture) kept(before map[string]life, hit func(string) bool) {
	f.t.Helper()
	for name, now := range f.lives() {
		if b := before[name]; !hit(name) && now != b {
			f.t.Errorf("%s was not hit, and yet changed:\nbefore %+v\nafter  %+v", name, b, now)
		}
	}
}

// Property: whatever of a machine dies without warning, everything runs again, once each, and what was not hit does
// not notice. Left out: what only freezes (package fencing).
func TestEverythingRunsAgainOnceEachAfterAKill(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 3)
	const n = 9
	p := f.many("w", n)
	p.TouchTimeout = 5
	f.run(n, p)
	target := f.Machines[0]

	step := func(what string, hit func(map[string]life) func(string) bool, act func()) {
		t.Helper()
		before := f.lives()
		hits := hit(before)
		act()
		f.until("all run again after SIGKILL of "+what, f.Where(f.ctx, n, since(before, hits)))
		f.kept(before, hits)
		if t.Failed() {
			t.Fatalf("after SIGKILL of %s", what)
		}
	}
	mine := func(before map[string]life) func(string) bool { return on(before, target.Name) }

	victim := "w:w-000"
	step("a process", func(map[string]life) func(string) bool { return func(name string) bool { return name == victim } }, func() {
		killPID(t, f.process(victim).Status.PID)
	})
	step("an agent that comes back", func(map[string]life) func(string) bool { return func(string) bool { return false } }, func() {
		f.kill(target, "distsuperagent run")
		f.must(target, "distsuperagent", "start")
	})
	step("a keeper", mine, func() { f.kill(target, "distsuperagent keeper") })
	for _, part := range []string{"run", "keeper", "guardian"} {
		if pids := target.PIDs("distsuperagent " + part); len(pids) != 1 {
			t.Errorf("%s has the processes %v of distsuperagent %s, want one: its death would not be whole", target.Name, pids, part)
		}
	}
	step("a machine", mine, func() { target.Kill() })
	if left := target.PIDs(); len(left) > 0 {
		t.Errorf("after its death %s still has %v", target.Name, left)
	}
	f.must(target, "distsuperagent", "start")
	f.onceEach()
}

func killPID(t *testing.T, pid int) {
	t.Helper()
	if pid < 2 {
		t.Fatalf("pid %d is no process to kill", pid)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// Property: the death of the leading distsuperd moves nothing and no process notices; another acts within its
// session's TTL + 1 s.
func TestAnotherDistsuperdLeadsAfterTheLeadersDeathAndNoProcessNotices(t *testing.T) {
	t.Parallel()
	f := start(t, 2, 2, func(o *fleet.Options) { o.ControllerLines = []string{"election_ttl = 2"} })
	before := f.steady(4)
	leader := f.leader()
	began := time.Now()
	f.kill(leader, "distsuperd run")
	f.create(f.Witness("later")) // runs only when somebody leads
	f.until("a new leader acts", func() (bool, string) {
		p := f.process("later")
		return p.Owner != nil, fleet.Describe(p)
	})
	took := time.Since(began)
	t.Logf("a new leader acted %v after the kill (its session's TTL is 2 s)", took)
	if took > 2*time.Second+time.Second+2*time.Second { // 2 s for a host with other things to do
		t.Errorf("a new leader acted only after %v", took)
	}
	f.allRun(5)
	if err := remove(f, "later"); err != nil {
		t.Fatal(err)
	}
	f.noticed(before, "the leader died")

	f.must(leader, "distsuperd", "start")
	second := f.leader()
	if second == leader {
		t.Fatalf("%s leads, although another had taken over", leader.Name)
	}
	began = time.Now()
	f.must(second, "distsuperd", "stop")
	f.until("the other leads after a stop", func() (bool, string) { return f.Leader(f.ctx) == leader, "nobody" })
	t.Logf("%v after the beginning of distsuperd stop the other led", time.Since(began))
	f.noticed(before, "the leader stopped")
	f.onceEach()
}

// remove removes a program and waits until nothing of it is left to be seen.
func remove(f *fixture, name string) error {
	if _, err := f.Client.Remove(f.ctx, name); err != nil {
		return err
	}
	return fleet.Until(f.ctx, patience, name+" is gone", func() (bool, string) {
		p := f.snapshot().Process(name)
		if p == nil {
			return true, ""
		}
		return false, fleet.Describe(*p)
	})
}

// Property: distsuperd's own etcd may die with or without distsuperd. It is started again, and no process notices.
func TestTheEmbeddedEtcdIsRestartedAndNoProcessNotices(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 2, func(o *fleet.Options) { o.ControllerLines = []string{"election_ttl = 2"} })
	before := f.steady(4)
	d := f.Controllers[0]

	f.kill(d, "distsuperd etcd")
	f.create(f.Witness("after-etcd"))
	f.allRun(5)
	if err := remove(f, "after-etcd"); err != nil {
		t.Fatal(err)
	}
	f.noticed(before, "etcd was killed")

	etcd := d.PIDs("distsuperd etcd")
	f.kill(d, "distsuperd run")
	f.must(d, "distsuperd", "start")
	if now := d.PIDs("distsuperd etcd"); len(now) != 1 || len(etcd) != 1 || now[0] != etcd[0] {
		t.Errorf("etcd was pid %v before the kill of distsuperd, and is %v: it was not adopted", etcd, now)
	}
	f.create(f.Witness("after-adoption"))
	f.allRun(5)
	if err := remove(f, "after-adoption"); err != nil {
		t.Fatal(err)
	}
	f.noticed(before, "distsuperd was killed and its etcd adopted")

	// Both at once, and distsuperd comes back on its own terms.
	f.kill(d, "distsuperd run")
	f.kill(d, "distsuperd etcd")
	f.must(d, "distsuperd", "start")
	f.create(f.Witness("after-both"))
	f.allRun(5)
	if err := remove(f, "after-both"); err != nil {
		t.Fatal(err)
	}
	f.noticed(before, "distsuperd and its etcd were killed")
	f.onceEach()
}

// Property: the loss of any one of three etcd members, its leader too, is not noticed by any process, and the
// fleet goes on working.
func TestNoProcessNoticesTheLossOfOneOfThreeEtcdMembers(t *testing.T) {
	t.Parallel()
	etcd := etcdproc.Start(t, 3)
	f := start(t, 2, 2, func(o *fleet.Options) { o.Endpoints = etcd.Endpoints() })
	p := f.many("w", 4)
	// Two candidates may split etcd's vote, several times: on a crowded host etcd was 22 s without a leader.
	p.TouchTimeout = 60
	f.run(4, p)
	before := f.lives()
	for i, name := range []string{"follower", "leader"} {
		victim := etcd.Leader()
		if victim < 0 {
			t.Fatal("no member leads")
		}
		if name == "follower" {
			victim = (victim + 1) % 3
		}
		etcd.Members[victim].Kill()
		later := "after-" + name
		f.create(f.Witness(later))
		f.allRun(5)
		f.noticedExcept(before, "an etcd "+name+" died", later)
		if err := remove(f, later); err != nil {
			t.Fatal(err)
		}
		etcd.Members[victim].Start()
		etcd.Ready()
		t.Logf("round %d: killed member %d, the %s", i, victim, name)
	}
	f.onceEach()
}

// noticedExcept is noticed but for a process that came later.
func (f *fixture) noticedExcept(before map[string]life, what, later string) {
	f.t.Helper()
	after := f.lives()
	delete(after, later)
	for name, b := range before {
		if a := after[name]; a != b {
			f.t.Errorf("%s noticed that %s:\nbefore %+v\nafter  %+v", name, what, b, a)
		}
	}
}

// Property: restarting an agent is not noticed by any process, loses no exit code and no output, and the
// agent obeys afterwards.
func TestAnAgentRestartLosesNothingAndTheAgentObeysAfterwards(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	talker := f.Witness("talker")
	talker.Command = "while true; do echo $((n=n+1)); sleep 0.01; done"
	talker.Shell = true
	dies := f.Witness("dies", "-exit", "7", "-for", "3s")
	dies.Autorestart, dies.StartSecs = "false", 0
	f.run(3, f.Witness("steady"), talker, dies)
	before := f.lives()
	m := f.Machines[0]
	f.must(m, "distsuperagent", "stop")
	// It exits while no agent is there.
	f.until("the short one exits without an agent", func() (bool, string) {
		_, err := os.Stat("/proc/" + itoa(before["dies"].PID))
		return err != nil, "it lives"
	})
	f.must(m, "distsuperagent", "start")
	f.until("the exit status is told", func() (bool, string) {
		p := f.process("dies")
		return p.Status != nil && p.Status.Exit != nil && *p.Status.Exit == 7, fleet.Describe(p)
	})
	delete(before, "dies")
	if err := remove(f, "dies"); err != nil {
		t.Fatal(err)
	}
	f.noticed(before, "the agent was restarted")
	unbroken(t, f.process("talker").Status.StdoutLog)

	if _, err := f.Client.StopProcess(f.ctx, "steady"); err != nil {
		t.Fatal(err)
	}
	f.until("the new agent obeys", func() (bool, string) {
		p := f.process("steady")
		return p.State.IsStopped() && p.Touch == nil, fleet.Describe(p)
	})
}
