package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// nobody is Debian's uid of that name.
const nobody = 65534

// Property: without root and without cgroups a machine does the same: start, restart, kill whole trees, stop.
// Left out: what escapes the subreaper, the session and the environment all at once, which nothing can find.
func TestAMachineWorksAsNobodyWithoutCgroups(t *testing.T) {
	t.Parallel()
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		gate.Cannot(t, "it takes root and setpriv (util-linux) to become nobody")
	}
	folder := shortDir(t)
	if err := shims(t, folder, setpriv); err != nil {
		t.Fatal(err)
	}
	f := start(t, 1, 1, func(o *fleet.Options) {
		o.Bin, o.Env = folder, []string{"DISTSUPER_NO_CGROUPS=1", "HOME=/"}
		if err := os.Chown(o.Dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		o.Owner = nobody
	})
	f.forks("forks")
	f.ctl("start", "forks")
	f.allRun(1)
	f.ctl("restart", "forks")
	before := f.lives()
	f.must(f.Machines[0], "distsuperagent", "restart")
	f.noticed(before, "the agent was restarted")
	f.kill(f.Machines[0], "distsuperagent keeper")
	f.until("it runs again under a new keeper", f.Where(f.ctx, 1, func(p client.Process) bool {
		return fleet.Runs(p) && p.Owner.Token > before["forks"].Token
	}))
	for _, pid := range append(f.Machines[0].PIDs(), f.Controllers[0].PIDs()...) {
		if uid := owner(pid); uid != "" && uid != "65534" {
			t.Errorf("pid %d runs as uid %s", pid, uid)
		}
	}
	says(t, f.must(f.Machines[0], "distsuperagent", "status"), "keeper")
	if s := f.must(f.Machines[0], "distsuperagent", "status"); strings.Contains(s, "cgroup") {
		t.Errorf("it uses cgroups, which were hidden:\n%s", s)
	}
	f.onceEach()
}

// shims are programs of the names of ours that become nobody first.
func shims(t *testing.T, folder, setpriv string) error {
	for _, name := range []string{"distsuperd", "distsuperagent", "distsuperctl", "witness"} {
		text := "#!/bin/sh\nexec " + setpriv + " --reuid=65534 --regid=65534 --clear-groups -- " + bin.Program(t, name) + " \"$@\"\n"
		if name == "witness" {
			text = "#!/bin/sh\nexec " + bin.Program(t, name) + " \"$@\"\n"
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// owner is the effective uid of a pid, "" for one that is gone.
func owner(pid int) string {
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+itoa(pid), &st); err != nil {
		return ""
	}
	return itoa(int(st.Uid))
}
