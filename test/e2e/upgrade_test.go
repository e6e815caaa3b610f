package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: whether the agent or the command is killed in the middle of an upgrade, no process notices, and another upgrade finishes it.
func TestLongAnUpgradeThatIsCutShortIsFinishedByAnother(t *testing.T) {
	gate.Long(t)
	today := bin.Path(t)
	f := start(t, 1, 1)
	f.load(f.section("a"))
	f.allRun(1)
	same, m1 := f.unchanged("a"), f.Machines[0]
	for round := range 6 {
		f.Bin = copyPrograms(t, today)
		upgrade := m1.Command(f.ctx, "distsuperagent", "upgrade")
		if err := upgrade.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond) // where in the upgrade it comes is the point
		if round%2 == 0 {
			m1.Signal(unix.SIGKILL, "distsuperagent run") // between two of them there may be none
		} else {
			_ = upgrade.Process.Kill()
		}
		_ = upgrade.Wait()
		m1.Run(f.ctx, "distsuperagent", "start")
		same(fmt.Sprintf("upgrade %d was cut short", round))
		f.must(m1, "distsuperagent", "upgrade")
		same(fmt.Sprintf("upgrade %d was made again", round))
	}
	f.onceEach()
}

// Property: distsuperd is replaced by another binary, one after the other and at last alone, while 300 processes write: no process
// notices, and no byte is lost.
func TestLongDistsuperdIsReplacedWhileProcessesWrite(t *testing.T) {
	gate.Long(t)
	const writers = 300
	today := bin.Path(t)
	f := start(t, 2, 2)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	stop := filepath.Join(dir, "stop")
	script := filepath.Join(dir, "writer")
	// What bash waits for needs no other process.
	text := "#!/bin/bash\nexec 3<> <(:)\ni=0\nwhile [ ! -e " + stop + " ]; do i=$((i+1)); echo line $i of many; read -t 1 -u 3; done\necho end $i\nread -t 1000 -u 3\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	f.load(fmt.Sprintf("[program:w]\ncommand = %s\nnumprocs = %d\nprocess_name = %%(program_name)s_%%(process_num)03d\n", script, writers))
	f.allRun(writers)
	before := f.lives()
	replace := func(i int) {
		f.Bin = copyPrograms(t, today)
		f.must(f.Controllers[i], "distsuperd", "restart")
		f.leader()
		f.noticed(before, fmt.Sprintf("distsuperd %d was replaced", i+1))
	}
	replace(0)
	replace(1)
	f.must(f.Controllers[1], "distsuperd", "stop")
	f.leader()
	f.noticed(before, "one of two was stopped")
	replace(0)
	if err := os.WriteFile(stop, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range f.snapshot().Processes() {
		if !fleet.Runs(p) {
			t.Fatalf("%s does not run", fleet.Describe(p))
		}
		f.wrote(p.Status.StdoutLog)
	}
}

// wrote waits for the end of what a writer has written, and fails the test unless all of it is there.
func (f *fixture) wrote(log string) {
	f.t.Helper()
	last := 0
	var got []byte
	f.until("the log is there to its end", func() (bool, string) {
		var err error
		got, err = os.ReadFile(log)
		at := bytes.LastIndex(got, []byte("end "))
		if err != nil || at < 0 || !bytes.HasSuffix(got, []byte("\n")) {
			return false, fmt.Sprintf("%s: %d bytes, %v", log, len(got), err)
		}
		_, err = fmt.Sscanf(string(got[at:]), "end %d\n", &last)
		return err == nil, fmt.Sprint(err)
	})
	var want strings.Builder
	for n := 1; n <= last; n++ {
		fmt.Fprintf(&want, "line %d of many\n", n)
	}
	fmt.Fprintf(&want, "end %d\n", last)
	if string(got) != want.String() {
		f.t.Errorf("%s: %d bytes, want %d", log, len(got), want.Len())
	}
}
