package e2e

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/test/fleet"
)

// Property: what has finished is not run again, whoever leads and however often the agent comes back.
func TestOneShotsRunExactlyOnceOverLeaderChangesAndAnAgentRestart(t *testing.T) {
	t.Parallel()
	f := start(t, 2, 2, func(o *fleet.Options) { o.ControllerLines = []string{"election_ttl = 2"} })
	done := f.Witness("done", "-exit", "0", "-for", "1200ms")
	done.Autorestart = api.RestartUnexpected
	fails := f.Witness("fails", "-exit", "1", "-for", "1200ms")
	fails.Autorestart = api.RestartNever
	quick := f.Witness("quick", "-exit", "0", "-for", "1ms")
	quick.StartSecs, quick.Autorestart = 0, api.RestartUnexpected
	bad := f.Witness("quick-bad", "-exit", "1", "-for", "1ms")
	bad.StartSecs, bad.Autorestart = 0, api.RestartNever
	names := []string{"done", "fails", "quick", "quick-bad"}
	for _, p := range []*api.Program{&done, &fails, &quick, &bad} {
		p.TouchTimeout = 30 // one that is fenced has not finished, and would rightly run again
	}
	f.create(done, fails, quick, bad)

	finished := func() (bool, string) {
		seen := ""
		for _, name := range names {
			if p := f.process(name); p.State != api.Exited {
				seen += fleet.Describe(p) + "; "
			}
		}
		return seen == "", seen
	}
	// The first change comes while they run.
	for range 3 {
		leader := f.leader()
		f.kill(leader, "distsuperd run")
		f.until("the other leads", func() (bool, string) {
			n := f.Leader(f.ctx)
			return n != nil && n != leader, "nobody does"
		})
		f.must(leader, "distsuperd", "start")
		f.until("all have exited", finished)
	}
	for _, m := range f.Machines {
		f.must(m, "distsuperagent", "restart")
	}
	// Something new goes through leader and agents, so that they have looked at everything once more.
	f.create(f.many("probe", 2))
	f.until("the probes run", func() (bool, string) {
		a, b := f.process("probe:probe-000"), f.process("probe:probe-001")
		return fleet.Runs(a) && fleet.Runs(b), fleet.Describe(a) + "; " + fleet.Describe(b)
	})
	f.until("all have still exited", finished)

	copies, err := f.Copies()
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for _, c := range copies {
		ran[c.Process]++
	}
	for _, name := range names {
		if ran[name] != 1 {
			t.Errorf("%s ran %d times, want once", name, ran[name])
		}
	}
	// Asked for, it runs again, once.
	if _, err := f.Client.StartProcess(f.ctx, "done"); err != nil {
		t.Fatal(err)
	}
	f.until("it has run a second time", func() (bool, string) {
		copies, err := f.Copies()
		n := 0
		for _, c := range copies {
			if c.Process == "done" && c.Ended {
				n++
			}
		}
		return n == 2 && err == nil, fmt.Sprint(n, " copies")
	})
	f.onceEach()
}

// Property: a process that has forked takes nothing with it into the next run: what it left is killed before a restart.
func TestWhatAProcessForkedDiesBeforeItsNextRun(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	f.forks("forks")
}

// forks runs a program that leaves a detached child, kills its main process, and counts the children.
func (f *fixture) forks(name string) {
	f.t.Helper()
	p := f.Witness(name)
	p.Command = fmt.Sprintf("setsid %s/witness -ignore-term %s & wait", f.Bin, f.Sightings)
	p.Shell = true
	f.run(1, p)
	for range 3 {
		before := f.lives()
		f.until("the child testifies", func() (bool, string) {
			n := f.alive(name)
			return n == 1, fmt.Sprint(n, " children live")
		})
		killPID(f.t, f.process(name).Status.PID)
		f.until("it runs again", f.Where(f.ctx, 1, since(before, func(string) bool { return true })))
	}
	f.onceEach()
	if _, err := f.Client.StopProcess(f.ctx, name); err != nil {
		f.t.Fatal(err)
	}
	f.until("nothing of it lives after a stop", func() (bool, string) {
		n := f.alive(name)
		stopped := f.process(name)
		return n == 0 && stopped.Touch == nil, fmt.Sprint(n, " children live; ", fleet.Describe(stopped))
	})
}

// alive counts the copies of a process that exist.
func (f *fixture) alive(name string) int {
	f.t.Helper()
	copies, err := f.Copies()
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for _, c := range copies {
		if c.Process == name && c.PID > 1 && unix.Kill(c.PID, 0) == nil {
			n++
		}
	}
	return n
}
