package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/gate"
)

// adviser runs commands on a node, and what their answers advise.
type adviser struct {
	*fixture
	node *cluster.Node
}

// refused runs a line that fails, obeys the command of one of our programs that its message begins so, and runs the line again.
func (a adviser) refused(line, advice string) {
	a.t.Helper()
	said := a.fails(line)
	m := regexp.MustCompile(regexp.QuoteMeta(advice) + "[^)\"`;,\n]*").FindString(said)
	if m == "" {
		a.t.Fatalf("%s does not advise %q:\n%s", line, advice, said)
	}
	a.runs(m)
	a.runs(line)
}

func (a adviser) runs(line string) {
	a.t.Helper()
	words := strings.Fields(line)
	a.must(a.node, words[0], words[1:]...)
}

func (a adviser) fails(line string) string {
	a.t.Helper()
	words := strings.Fields(line)
	r := a.node.Run(a.ctx, words[0], words[1:]...)
	if r.Code == 0 {
		a.t.Fatalf("%s succeeds:\n%s%s", line, r.Stdout, r.Stderr)
	}
	return r.Stdout + r.Stderr
}

// Property: where one of our daemons does not start because of another one, or of what that has left, the command in the message leads
// out. It leaves out what is not on one host.
func TestLongAgentAndSoloOfOneFileSayHowToEndTheOther(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	f := start(t, 1, 1)
	w := f.Witness("w") // kept: there is no other machine
	w.TouchTimeout = calm
	f.run(1, w)
	m1 := f.Machines[0]
	file := filepath.Join(m1.Dir, "distsuper.ini")
	t.Cleanup(func() { os.RemoveAll(config.SoloRuntime(file, os.Geteuid())) })
	a, solo := adviser{f, m1}, "distsuperd solo -c "+file

	a.refused(solo, "distsuperagent stop --all") // beside the agent
	a.refused("distsuperagent start", "distsuperctl --etcd-endpoints")
	f.allRun(1)
	a.runs("distsuperagent stop")
	a.refused(solo, "distsuperagent stop --all") // beside the keeper
	a.refused("distsuperagent start", "distsuperctl --etcd-endpoints")
	f.allRun(1)
	a.refused("distsuperctl -c "+a.supervisords()+" status", "distsuperd solo -c")
	a.runs("distsuperctl -c " + a.supervisords() + " shutdown")

	a.runs("distsuperagent stop")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "machine = m1", "machine = other", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	a.refused("distsuperagent start", "distsuperagent stop --all") // under another name than the keeper's processes

	d := adviser{f, f.Controllers[0]}
	a.runs("distsuperagent stop --all")
	d.runs("distsuperd stop --all")
	d.refused("distsuperctl machines", "distsuperd start")
	f.onceEach()
}

// supervisords is a file of supervisord's, which nobody runs.
func (a adviser) supervisords() string {
	a.t.Helper()
	dir := filepath.Join(a.node.Dir, "s")
	file := filepath.Join(dir, "s.conf")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("[supervisord]\nlogfile=%(here)s/d.log\npidfile=%(here)s/d.pid\n[supervisorctl]\n[program:a]\ncommand=sleep 1000\nstartsecs=0\n"), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}
