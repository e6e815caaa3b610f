package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"
)

// Property: a fleet of three members is backed up through any of them, and restored by one command, while all live and when all have lost their
// data: then three vote again, nothing that is kept was touched, and tokens only rise. While a member answers, the command refuses and
// says what to do. Left out: what is fenced ends meanwhile, as it has to, and runs again.
func TestLongAFleetOfThreeIsRestoredByOneCommand(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 3, 2, members)
	kept := f.many("kept", 3)
	kept.Machines = []string{"m1"} // which nothing else could start
	moves := f.many("moves", 3)
	moves.TouchTimeout = calm
	f.run(6, kept, moves)
	file := filepath.Join(t.TempDir(), "fleet.backup")
	for _, d := range f.Controllers {
		f.must(d, "distsuperctl", "backup", "--force", file)
	}

	all := f.lives()
	third := f.Controllers[2]
	f.must(f.Controllers[0], "distsuperctl", "remove", "--stop", "moves")
	says(t, f.must(f.Controllers[1], "distsuperctl", "restore", "--yes", file), "+ moves")
	f.allRun(6)
	before := f.lives()
	for name, l := range before {
		if strings.HasPrefix(name, "kept") && l != all[name] {
			t.Errorf("%s noticed that a living etcd was restored into: %+v, then %+v", name, all[name], l)
		}
		if l.Token < all[name].Token {
			t.Errorf("the token of %s fell from %d to %d", name, all[name].Token, l.Token)
		}
	}

	for _, d := range f.Controllers[:2] {
		d.Kill()
	}
	f.until("one that is left is not given up for a backup", func() (bool, string) {
		r := third.Run(f.ctx, "distsuperctl", "restore", "--yes", file)
		return r.Code == 4 && strings.Contains(r.Stderr, "d3") && strings.Contains(r.Stderr, "members recover"), r.Stdout + r.Stderr
	})
	third.Kill()
	for i, d := range f.Controllers {
		if i > 0 { // the first has its data still, and comes back with it later
			if err := os.RemoveAll(d.State("etcd/data")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r := third.Run(f.ctx, "distsuperctl", "restore", "--yes", file); r.Code != 2 || !strings.Contains(r.Stderr, "distsuperd start") {
		t.Errorf("restore without distsuperd: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	for _, d := range f.Controllers[1:] {
		f.begin(d)
	}
	t.Log(f.must(third, "distsuperctl", "restore", "--yes", file))
	f.begin(f.Controllers[0])
	f.vote(third, 3)
	f.allRun(6)
	for name, l := range f.lives() {
		if strings.HasPrefix(name, "kept") && (l.PID != before[name].PID || l.ReallyStarted != before[name].ReallyStarted) {
			t.Errorf("%s noticed that etcd was lost and restored: %+v, then %+v", name, before[name], l)
		}
		if l.Token < before[name].Token {
			t.Errorf("the token of %s fell from %d to %d", name, before[name].Token, l.Token)
		}
	}
	f.onceEach()
	for _, d := range f.Controllers {
		if n := len(d.PIDs("distsuperd etcd")); n != 1 {
			t.Errorf("%d etcds run on %s", n, d.Name)
		}
		d.Signal(unix.SIGKILL, "distsuperd etcd")
	}
}
