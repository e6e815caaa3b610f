package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// load writes programs into the first controller's file, in place of those that were there, and loads it.
func (f *fixture) load(programs string, args ...string) string {
	f.t.Helper()
	d := f.Controllers[0]
	file := filepath.Join(d.Dir, "distsuper.ini")
	text, err := os.ReadFile(file)
	if err != nil {
		f.t.Fatal(err)
	}
	settings, _, _ := strings.Cut(string(text), "[program:")
	if err := os.WriteFile(file, []byte(settings+programs), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return f.must(d, "distsuperctl", append([]string{"load"}, args...)...)
}

// ctl runs distsuperctl beside the first controller; it has to succeed.
func (f *fixture) ctl(args ...string) string {
	f.t.Helper()
	return f.must(f.Controllers[0], "distsuperctl", args...)
}

// section is a [program:x] of a witness, with more lines.
func (f *fixture) section(name string, lines ...string) string {
	command := filepath.Join(f.Bin, "witness") + " " + f.Sightings
	return "[program:" + name + "]\ncommand = " + command + "\ntouch_timeout = 10\n" + strings.Join(lines, "\n") + "\n"
}

// Property: a program's whole life by file and commands: what restarts it, what does not, and that nothing is
// left of it.
func TestAProgramFollowsItsFileAndItsUser(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 2)
	f.load(f.section("p"))
	f.ctl("status", "p")
	f.allRun(1)
	first := f.lives()

	f.ctl("restart", "p")
	second := f.lives()
	if second["p"].Token <= first["p"].Token || second["p"].Machine != first["p"].Machine {
		t.Errorf("restart made of %+v %+v: want a new token on the same machine", first["p"], second["p"])
	}
	f.ctl("stop", "p")
	if p := f.process("p"); !p.State.IsStopped() || p.Touch != nil {
		t.Errorf("after stop it is %s, touch %+v", fleet.Describe(p), p.Touch)
	}
	f.ctl("start", "p")
	third := f.lives()
	if third["p"].Token <= second["p"].Token || third["p"].Machine != first["p"].Machine {
		t.Errorf("stop and start made of %+v %+v: want a new token on the last machine", second["p"], third["p"])
	}

	says(t, f.load(f.section("p", "stopwaitsecs = 3", "startretries = 9")), "p")
	f.until("the live process has the new settings", func() (bool, string) {
		p := f.process("p")
		return p.Placement != nil && p.Placement.Process.StopWaitSecs == 3 && p.Placement.Process.StartRetries == 9, fleet.Describe(p)
	})
	f.noticed(third, "its settings changed")
	f.load(f.section("p", "stopwaitsecs = 3", "startretries = 9", `environment = A="b"`))
	f.until("the changed program runs anew", f.Where(f.ctx, 1, func(p client.Process) bool {
		return fleet.Runs(p) && p.Status.Token > third["p"].Token
	}))
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", f.process("p").Status.PID)); err != nil || !strings.Contains("\x00"+string(env), "\x00A=b\x00") {
		t.Errorf("the new environment has no A=b (%v): %q", err, env)
	}

	name := "process_name = p-%(process_num)d"
	f.load(f.section("q", name, "numprocs = 3"), "--yes")
	f.allRun(3)
	before := f.lives()
	f.load(f.section("q", name, "numprocs = 5"))
	f.allRun(5)
	f.kept(before, func(name string) bool { return name == "q:p-3" || name == "q:p-4" })
	f.load(f.section("q", name, "numprocs = 2"), "--yes")
	f.allRun(2)
	f.kept(before, func(string) bool { return false })

	logs := []string{f.process("q:p-0").Status.StdoutLog, f.process("q:p-1").Status.StdoutLog}
	f.ctl("remove", "q", "--stop")
	f.until("nothing is left of it", func() (bool, string) { return f.forgotten("q", logs) })
	f.onceEach()
}

// forgotten reports whether no key but history names a program's processes and their logs are gone.
func (f *fixture) forgotten(program string, logs []string) (bool, string) {
	var left []string
	for _, log := range logs {
		if _, err := os.Stat(log); err == nil {
			left = append(left, log)
		}
	}
	left = append(left, f.keysAbout(program)...)
	return len(left) == 0, strings.Join(left, " ")
}

// Property: cordon, drain and the planned leave of a machine move what they must and nothing else, once each.
func TestProcessesLeaveAMachineThatIsDrainedAndNothingElseNotices(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 3)
	w, more := f.many("w", 6), f.many("new", 4)
	w.TouchTimeout, more.TouchTimeout = calm, calm
	f.run(6, w)
	before := f.lives()
	m1 := f.Machines[0]

	f.ctl("cordon", "m1")
	f.create(more)
	f.allRun(10)
	for name, l := range f.lives() {
		if strings.HasPrefix(name, "new:") && l.Machine == "m1" {
			t.Errorf("%s was placed on a cordoned machine", name)
		}
	}
	f.noticedExceptNew(before, "m1 was cordoned")
	f.ctl("drain", "m1")
	notOn := func(machine string) func(client.Process) bool {
		return func(p client.Process) bool { return fleet.Runs(p) && p.Owner.Machine != machine }
	}
	f.until("m1 is empty", f.Where(f.ctx, 10, notOn("m1")))
	f.kept(f.only(before), on(before, "m1"))
	f.ctl("uncordon", "m1")
	f.ctl("move", "new:new-000", "m1")
	f.until("the moved process runs on m1", func() (bool, string) {
		p := f.process("new:new-000")
		return fleet.Runs(p) && p.Owner.Machine == "m1", fleet.Describe(p)
	})

	before = f.lives()
	left := witness.Now()
	f.must(m1, "distsuperagent", "stop", "--drain")
	f.until("all run elsewhere", f.Where(f.ctx, 10, notOn("m1")))
	f.kept(before, on(before, "m1"))
	for _, p := range f.snapshot().Processes() {
		if before[p.Name].Machine == "m1" && p.Owner.Proof != "released" {
			t.Errorf("%s moved with the proof %q, want released: it should not wait for a lease", p.Name, p.Owner.Proof)
		}
	}
	f.tellGaps(left)
	f.onceEach()
}

// noticedExceptNew is noticed for those that were there before.
func (f *fixture) noticedExceptNew(before map[string]life, what string) {
	f.t.Helper()
	after := f.lives()
	for name, b := range before {
		if a := after[name]; a != b {
			f.t.Errorf("%s noticed that %s:\nbefore %+v\nafter  %+v", name, what, b, a)
		}
	}
}

// only completes before with processes that came since, as they are now.
func (f *fixture) only(before map[string]life) map[string]life {
	all := f.lives()
	for name, l := range before {
		all[name] = l
	}
	return all
}

// tellGaps logs how long processes were away, from their last sign of life to the next one's first instruction.
func (f *fixture) tellGaps(after int64) {
	f.t.Helper()
	copies, err := f.Copies()
	if err != nil {
		f.t.Fatal(err)
	}
	last := map[string]int64{}
	var gaps []time.Duration
	for _, c := range copies {
		if end, ok := last[c.Process]; ok && c.Start > after {
			gaps = append(gaps, time.Duration(c.Start-end))
		}
		last[c.Process] = max(last[c.Process], c.Last)
	}
	slices.Sort(gaps)
	f.t.Logf("from the last sign of life to the replacement's first instruction: %v", gaps)
}
