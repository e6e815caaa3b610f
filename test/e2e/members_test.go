package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

func members(o *fleet.Options) { o.Members = true }

// vote waits until the etcd of the controllers has n votes, as a node sees it.
func (f *fixture) vote(from *cluster.Node, n int) {
	f.t.Helper()
	f.until(fmt.Sprintf("%d members vote", n), func() (bool, string) { return f.Vote(f.ctx, from, n) })
}

// writing makes and removes programs until it is told to stop, and says how many.
func (f *fixture) writing() (stop func() int) {
	ctx, cancel := context.WithCancel(f.ctx)
	var work sync.WaitGroup
	done := 0
	work.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			p := f.Witness(fmt.Sprintf("load%d", i))
			p.Autostart = false
			if _, err := f.Client.Create(ctx, p); err == nil { // while etcd elects a leader it fails
				done++
			}
			_, _ = f.Client.Remove(ctx, p.Name) // the next look finds what is left
		}
	})
	return func() int {
		cancel()
		work.Wait()
		return done
	}
}

// warning waits until a controller warns of something, and returns the command that leads out.
func (f *fixture) warning(n *cluster.Node, want string) string {
	f.t.Helper()
	said := ""
	f.until("it says "+want, func() (bool, string) {
		said = n.Run(f.ctx, "distsuperd", "status").Stdout
		return strings.Contains(said, want), said
	})
	command := regexp.MustCompile(`distsuperctl members [a-z]+ [0-9a-f]+`).FindString(said)
	if command == "" {
		f.t.Fatalf("no command leads out: %s", said)
	}
	return command
}

// begin starts a distsuperd that may find no etcd, and does not wait for one.
func (f *fixture) begin(d *cluster.Node) {
	f.t.Helper()
	f.until(d.Name+" runs", func() (bool, string) {
		r := d.Run(f.ctx, "distsuperd", "start", "--timeout", "1ms")
		s, err := fleet.Health(f.ctx, d)
		return err == nil && s.Running, r.Stdout + r.Stderr
	})
}

// Property: of three distsuperd with one etcd, each may be killed, the first included, and each may be restarted on purpose, under load:
// every process goes on, and nothing runs twice.
func TestLongThreeMembersSurviveTheLossOfEachHostInTurn(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 3, 2, members)
	before := f.steady(8)
	for _, planned := range []bool{false, true} {
		for i, d := range f.Controllers {
			other := f.Controllers[(i+1)%3]
			f.vote(other, 3)
			stop := f.writing()
			if planned {
				f.must(d, "distsuperd", "stop", "--all")
			} else {
				d.Kill()
			}
			f.until("the others are there", func() (bool, string) {
				r := other.Run(f.ctx, "distsuperctl", "members")
				return strings.Contains(r.Stdout, "does not answer") && r.Code == 0, r.Stdout + r.Stderr
			})
			f.until("another leads", func() (bool, string) {
				l := f.Leader(f.ctx)
				return l != nil && l != d, fmt.Sprint(l)
			})
			one := f.Witness("one")
			one.TouchTimeout = calm
			f.create(one)
			f.until("what is new starts", func() (bool, string) {
				p := f.process("one")
				return fleet.Runs(p), fleet.Describe(p)
			})
			if n := stop(); n == 0 {
				t.Errorf("nothing could be written without %s", d.Name)
			}
			f.must(other, "distsuperctl", "remove", "--stop", "one")
			f.must(d, "distsuperd", "start")
		}
	}
	f.vote(f.Controllers[0], 3)
	f.until("what the load made is gone", func() (bool, string) {
		for _, p := range f.snapshot().Processes() {
			if strings.HasPrefix(p.Name, "load") {
				_, err := f.Client.Remove(f.ctx, p.Name)
				return false, fmt.Sprintf("%s: %v", p.Name, err)
			}
		}
		return true, ""
	})
	f.noticed(before, "each host of etcd was lost, and each was restarted")
	f.onceEach()
}

// Property: an etcd of one grows to three while everything runs, agents find the new members by themselves, and a member
// with a wrong address harms nobody.
func TestLongAnEtcdOfOneGrowsToThreeAndAWrongAddressHarmsNobody(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 1, 1, members)
	before := f.steady(4)
	first := f.Controllers[0]

	etcd := f.Etcd
	f.Etcd = "" // it has its own
	wrong, err := f.Node("wrong", f.must(first, "distsuperctl", "init", "config", "--join", "--voter", "192.0.2.7")+"[distsuperd]\nid = wrong\nhttp = 127.0.0.1:0\n")
	if err != nil {
		t.Fatal(err)
	}
	f.Etcd = etcd
	f.must(wrong, "distsuperd", "start") // it is a controller all the same
	f.until("it says what is wrong", func() (bool, string) {
		out := wrong.Run(f.ctx, "distsuperd", "status").Stdout
		return strings.Contains(out, "192.0.2.7") && strings.Contains(out, "is it an address of this host?"), out
	})
	f.vote(first, 1) // and nobody else was ever added
	f.must(wrong, "distsuperd", "stop")

	for _, name := range []string{"d2", "d3"} {
		d, err := f.Member(f.ctx, first, name)
		if err != nil {
			t.Fatal(err)
		}
		f.Controllers = append(f.Controllers, d)
		f.must(d, "distsuperd", "start")
		if name == "d2" {
			f.until("the second has no vote", func() (bool, string) {
				out := first.Run(f.ctx, "distsuperctl", "members").Stdout
				return strings.Contains(out, "learner  answers"), out
			})
		}
	}
	f.vote(first, 3)
	f.until("the agent knows all three", func() (bool, string) {
		b, err := os.ReadFile(f.Machines[0].State("etcd-endpoints"))
		return strings.Count(string(b), "https://") == 3, fmt.Sprintf("%s%v", b, err)
	})
	first.Kill()
	f.until("the agent goes on with the others", func() (bool, string) {
		out := f.Controllers[1].Run(f.ctx, "distsuperctl", "machines").Stdout
		return strings.Contains(out, "live"), out
	})
	f.vote2of3()
	f.must(first, "distsuperd", "start")
	f.vote(first, 3)
	f.noticed(before, "etcd grew, and its first host was lost")
	f.onceEach()
}

// vote2of3 waits until two of three members have elected a leader without the first.
func (f *fixture) vote2of3() {
	f.t.Helper()
	f.until("the other two have a leader", func() (bool, string) {
		r := f.Controllers[1].Run(f.ctx, "distsuperctl", "members")
		return strings.Contains(r.Stdout, "leader  answers"), r.Stdout + r.Stderr
	})
}

// Property: a member whose data was lost, or is an old copy, does not come back under its id; one command lets it join anew.
func TestLongAMemberThatHasForgottenSomethingJoinsAnew(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 3, 1, members)
	before := f.steady(4)
	first, second, third := f.Controllers[0], f.Controllers[1], f.Controllers[2]
	leadOut := func(d *cluster.Node, why string) {
		t.Helper()
		f.must(d, "distsuperd", "start")
		command := f.warning(d, why)
		if out := first.Run(f.ctx, "distsuperctl", "members").Stdout; strings.Count(out, "does not answer") != 1 {
			t.Errorf("it is not refused: %s", out)
		}
		f.must(second, "distsuperctl", strings.Fields(command)[1:]...)
		f.vote(first, 3)
	}

	third.Kill()
	if err := os.RemoveAll(third.State("etcd/data")); err != nil {
		t.Fatal(err)
	}
	leadOut(third, "the data of this host's etcd is gone")

	first.Kill()
	copied := filepath.Join(first.Dir, "copy")
	if out, err := exec.Command("cp", "-a", first.State("etcd/data"), copied).CombinedOutput(); err != nil {
		t.Fatal(string(out), err)
	}
	noted := f.voters()
	f.must(first, "distsuperd", "start")
	f.vote(second, 3)
	f.until("it is noted how far it has come", func() (bool, string) { now := f.voters(); return now != noted, now })
	first.Kill()
	if err := os.RemoveAll(first.State("etcd/data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied, first.State("etcd/data")); err != nil {
		t.Fatal(err)
	}
	first, second = second, first
	leadOut(second, "restored from a copy")
	f.noticed(before, "members of etcd were replaced")
	f.onceEach()
}

// voters are the notes of how far members have come.
func (f *fixture) voters() string {
	all := ""
	for _, e := range f.all().Entries {
		if strings.HasPrefix(e.Key, "/distsuper/voters/") {
			all += e.Key + string(e.Value) + "\n"
		}
	}
	return all
}

// interruptRecovery kills members recover when the new etcd is there, and nothing in it.
func (f *fixture) interruptRecovery(d *cluster.Node) {
	f.t.Helper()
	cmd := d.Command(f.ctx, "distsuperctl", "members", "recover", "--yes")
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // it was killed
	f.until("it has begun a new etcd", func() (bool, string) {
		b, err := os.ReadFile(d.State("etcd/members.json"))
		return strings.Contains(string(b), `"alone": true`), fmt.Sprintf("%s%v", b, err)
	})
	if err := cmd.Process.Kill(); err != nil {
		f.t.Error(err)
	}
}

// saysOfEtcd waits until status and machines say what it means for etcd that members of it are lost, in one line, on the host of the third
// member and on a machine; stopped: etcd has stopped.
func (f *fixture) saysOfEtcd(stopped bool, line *regexp.Regexp) {
	f.t.Helper()
	for _, n := range []*cluster.Node{f.Controllers[2], f.Machines[0]} {
		for _, command := range []string{"status", "machines"} {
			f.until(n.Name+": "+command+" says "+line.String(), func() (bool, string) {
				r := n.Run(f.ctx, "distsuperctl", command)
				return len(line.FindAllString(r.Stderr, -1)) == 1 && (r.Code == 4) == stopped, fmt.Sprintf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
			})
		}
	}
}

// Property: a lost majority says what to do, and the one command that goes on from a survivor loses no process that runs and starts none
// twice; who comes back with the data of before does not start it.
func TestLongALostMajorityIsRecoveredFromOneSurvivor(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 3, 2, members)
	p := f.many("w", 6)
	p.TouchTimeout = calm
	f.run(6, p)
	before := f.snapshot()
	third := f.Controllers[2]
	f.Controllers[0].Kill()
	f.saysOfEtcd(false, regexp.MustCompile(`2 of 3 members of etcd answer, and https://\S+ does not; if one more is lost, etcd stops: start distsuperd there; .*distsuperctl members replace NAME`))
	f.Controllers[1].Kill()
	f.saysOfEtcd(true, regexp.MustCompile(`etcd has no majority: 1 of 3 members answer, and it needs 2. Start those that do not: d1 \(https://\S+\), d2 \(https://\S+\). .*distsuperctl members recover`))
	f.until("it says that the majority is lost", func() (bool, string) {
		out := third.Run(f.ctx, "distsuperd", "status").Stdout
		return strings.Contains(out, "etcd has no majority: 1 of 3") && strings.Contains(out, "distsuperctl members recover"), out
	})
	third.Kill() // and the survivor starts again, when its etcd finds nobody
	f.begin(third)
	f.until("it is still there", func() (bool, string) {
		r := third.Run(f.ctx, "distsuperctl", "members")
		return r.Code == 0 && strings.Contains(r.Stderr, "1 of 3 members answer") && strings.Contains(r.Stderr, "members recover"), r.Stdout + r.Stderr
	})
	f.until("distsuperd says what it means, too", func() (bool, string) {
		out := third.Run(f.ctx, "distsuperd", "status").Stdout
		return strings.Contains(out, "etcd has no majority: 1 of 3") && strings.Contains(out, "distsuperctl members recover"), out
	})
	if r := third.Run(f.ctx, "distsuperctl", "members", "replace", "d1"); r.Code != 4 || !strings.Contains(r.Stderr, "no majority") {
		t.Errorf("replace without a majority: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	f.interruptRecovery(third)
	advised := ""
	f.until("it says how to go on", func() (bool, string) {
		r := third.Run(f.ctx, "distsuperctl", "members", "recover", "--yes")
		advised = regexp.MustCompile(`distsuperctl restore (\S+)`).FindString(r.Stderr)
		return r.Code != 0 && advised != "", r.Stdout + r.Stderr
	})
	t.Log(f.must(third, "distsuperctl", append(strings.Fields(advised)[1:], "--yes")...))
	f.vote(third, 1)
	f.allRun(6)
	for _, p := range f.snapshot().Processes() {
		if old := before.Process(p.Name); p.Owner.Token < old.Owner.Token {
			t.Errorf("%s had token %d, and has %d", p.Name, old.Owner.Token, p.Owner.Token)
		}
	}
	first := f.Controllers[0]
	f.must(first, "distsuperd", "start")
	command := f.warning(first, "another etcd by now")
	f.must(third, "distsuperctl", strings.Fields(command)[1:]...)
	f.until("it joins the new one, without a vote", func() (bool, string) {
		out := third.Run(f.ctx, "distsuperctl", "members").Stdout
		return strings.Contains(out, "learner  answers"), out
	})
	f.onceEach()
	if n := third.Signal(unix.SIGKILL, "distsuperd etcd"); n != 1 {
		t.Errorf("%d etcds ran on it", n)
	}
}
