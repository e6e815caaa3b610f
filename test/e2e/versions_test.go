package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// versionBefore is the commit whose binaries run beside today's where nothing is tagged yet.
const versionBefore = "5fcc094"

// buildBefore builds the programs of the last tag, or else of versionBefore. Without the history of the repository there are none.
func buildBefore(t *testing.T) string {
	t.Helper()
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", "../.."}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("describe", "--tags", "--abbrev=0")
	if err != nil || commit == "" {
		commit = versionBefore
	}
	if _, err := git("cat-file", "-e", commit+"^{commit}"); err != nil {
		gate.Cannot(t, "the history of the repository is not here: there is no commit %s", commit)
	}
	source, out := t.TempDir(), t.TempDir()
	archive := exec.Command("sh", "-c", `git -C ../.. archive "$0" | tar -x -C "$1"`, commit, source)
	if text, err := archive.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, name := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(out, name), "./cmd/"+name)
		build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", build, err, text)
		}
	}
	return out
}

// copyPrograms makes another file of each program, as an installation of the next version does.
func copyPrograms(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// Property: one version up and down, each daemon for itself, no process is stopped, and what a keeper cannot is told.
func TestLongVersionsRunSideBySide(t *testing.T) {
	gate.Long(t)
	before, today := buildBefore(t), bin.Path(t)
	f := start(t, 1, 2, func(o *fleet.Options) { o.Bin, o.Witness = before, filepath.Join(today, "witness") })
	section := func(name, machine string) string {
		return "[program:" + name + "]\ncommand = " + filepath.Join(today, "witness") + " " + f.Sightings + "\ntouch_timeout = 30\nmachines = " + machine + "\n"
	}
	f.load(section("a", "m1") + section("b", "m2"))
	f.allRun(2)
	same := f.unchanged("a", "b")
	m1, m2 := f.Machines[0], f.Machines[1]

	f.Bin = today
	if r := m1.Run(f.ctx, "distsuperagent", "upgrade"); r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "cannot be replaced in place") {
		t.Errorf("of an old keeper upgrade says (exit %d)\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	same("a new agent beside an old keeper")
	f.must(f.Controllers[0], "distsuperd", "restart")
	same("a new controller")
	if err := f.AddMachines(f.ctx, 1); err != nil {
		t.Fatal(err)
	}
	f.load(section("a", "m1") + section("b", "m2") + section("c", "m3"))
	f.allRun(3)
	same = f.unchanged("a", "b", "c")
	m3 := f.Machines[2]

	f.Bin = before
	f.must(m3, "distsuperagent", "restart")
	same("an old agent beside a new keeper")
	f.must(f.Controllers[0], "distsuperd", "restart")
	same("an old controller again")

	f.Bin = copyPrograms(t, today)
	f.must(f.Controllers[0], "distsuperd", "restart")
	for _, n := range []*cluster.Node{m2, m3} {
		out := f.must(n, "distsuperagent", "restart")
		if replaced := strings.Contains(out, "keeper replaced in place"); replaced != (n == m3) {
			t.Errorf("on %s restart says\n%s", n.Name, out)
		}
	}
	same("all of the new version")
	f.ctl("restart", "c")
	f.allRun(3)
}

// unchanged returns what fails the test unless these processes run, and are the same as now.
func (f *fixture) unchanged(names ...string) (same func(when string)) {
	f.t.Helper()
	first := f.lives()
	return func(when string) {
		f.t.Helper()
		f.allRun(len(names))
		now := f.lives()
		for _, name := range names {
			if now[name].PID != first[name].PID || now[name].Token != first[name].Token {
				f.t.Errorf("%s: %s was %+v and is %+v", when, name, first[name], now[name])
			}
		}
	}
}
