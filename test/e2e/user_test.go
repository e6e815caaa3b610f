package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// desk is an empty folder in which a user types.
type desk struct {
	*cluster.Node
	t *testing.T
}

// newDesk makes one. Its environment keeps it off the ports of other tests; a user has them to himself.
func newDesk(t *testing.T) *desk {
	t.Helper()
	c := cluster.New(shortDir(t), bin.Path(t))
	t.Cleanup(func() {
		if t.Failed() {
			tellLogs(t, c.Dir)
		}
		c.Close()
	})
	n, err := c.Node("desk", "", "DISTSUPER_CONTROLLER_HTTP=127.0.0.1:0", "DISTSUPER_AGENT_HTTP=127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(n.Dir, "distsuper.ini")); err != nil {
		t.Fatal(err)
	}
	return &desk{Node: n, t: t}
}

// types runs a command line, which has to end with a code, and returns what it said on both outputs.
func (d *desk) types(code int, line string) string {
	d.t.Helper()
	words := strings.Fields(line)
	r := d.Run(d.t.Context(), words[0], words[1:]...)
	if r.Code != code {
		d.t.Fatalf("%s: exit %d, want %d\n%s%s", line, r.Code, code, r.Stdout, r.Stderr)
	}
	return r.Stdout + r.Stderr
}

// says fails the test unless text has all of the parts.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("it does not say %q:\n%s", p, text)
		}
	}
}

// row is a process in `status --json`.
type row struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Machine string `json:"machine"`
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

func (d *desk) row(name string) row {
	d.t.Helper()
	r := d.Run(d.t.Context(), "distsuperctl", "status", "--json", name)
	var rows []row
	if err := json.Unmarshal([]byte(r.Stdout), &rows); err != nil || len(rows) != 1 {
		d.t.Fatalf("status --json %s: %v: %s%s", name, err, r.Stdout, r.Stderr)
	}
	return rows[0]
}

// Property: what the README tells a user to type works as written, in an empty folder.
func TestTheUsersSequenceWorksAsWritten(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.types(2, "distsuperd start") // no configuration yet
	d.types(0, "distsuperctl init config .")
	d.types(1, "distsuperctl init config .") // it overwrites nothing
	d.types(0, "distsuperctl init config . --force")
	d.types(3, "distsuperd status")
	says(t, d.types(0, "distsuperd start"), "etcd")
	d.types(0, "distsuperctl init db")
	d.types(0, "distsuperctl init db")
	says(t, d.types(0, "distsuperagent start"), "keeper")
	says(t, d.types(0, "distsuperctl load --dry-run"), "test")
	says(t, d.types(4, "distsuperctl status test")+d.types(0, "distsuperctl load"), "test")
	d.types(3, "distsuperctl status") // loaded, and not started
	d.types(0, "distsuperctl start test")
	says(t, d.types(0, "distsuperctl status"), "RUNNING", "pid ", "uptime 0:00:0")
	before := d.row("test")

	d.types(0, "distsuperctl restart test")
	after := d.row("test")
	if after.PID == before.PID || after.State != "RUNNING" {
		t.Errorf("restart made of %+v %+v", before, after)
	}
	d.types(0, "distsuperctl stop test")
	d.types(3, "distsuperctl status test")
	d.types(0, "distsuperctl start test")
	year := time.Now().Format("2006")
	says(t, d.types(0, "distsuperctl tail test"), year)
	says(t, d.types(0, "distsuperctl tail -5 test stdout"), year)
	d.follow("test", year)
	says(t, d.types(0, "distsuperctl machines"), "live")
	says(t, d.types(0, "distsuperctl why test"), "test")
	says(t, d.types(0, "distsuperctl history test"), "start asked", "stop asked")

	before = d.row("test")
	d.types(0, "distsuperagent restart")
	if after = d.row("test"); after != before {
		t.Errorf("distsuperagent restart made of %+v %+v", before, after)
	}
	d.types(0, "distsuperctl stop test")
	d.types(0, "distsuperctl start test")
	says(t, d.types(0, "distsuperagent stop"), "test")
	says(t, d.types(0, "distsuperd stop"), "etcd")
	d.types(3, "distsuperagent status")
	d.types(3, "distsuperd status")
	d.types(0, "distsuperagent stop --all")
	d.types(0, "distsuperd stop --all")
	err := fleet.Until(t.Context(), patience, "nothing is left after stop --all", func() (bool, string) {
		left := d.PIDs() // the guardian is the last to go
		return len(left) == 0, fmt.Sprint(left)
	})
	if err != nil {
		t.Error(err)
	}
}

// Property: what processes create does not depend on the umask of the shell from which the agent was started, and they are not
// preferred by the kernel as their agent is.
func TestProcessesInheritNeitherTheUmaskOfAShellNorThePriorityOfTheAgent(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.types(0, "distsuperctl init config .")
	if err := os.WriteFile(filepath.Join(d.Dir, "distsuper.ini"), []byte("[program:umask]\ncommand = umask; nice\nshell = true\nstartsecs = 0\nautostart = false\nautorestart = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.types(0, "distsuperd start")
	d.types(0, "distsuperctl init db")
	agent := d.Command(t.Context(), "distsuperagent")
	agent.Args = []string{"sh", "-c", `umask 0; exec nice -n 3 "$0" start`, agent.Path}
	agent.Path = "/bin/sh"
	if out, err := agent.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.types(0, "distsuperctl load")
	d.types(0, "distsuperctl start umask")
	err := fleet.Until(t.Context(), patience, "a process has the umask 0022 and the nice value 3", func() (bool, string) {
		got := strings.TrimSpace(d.types(0, "distsuperctl tail umask"))
		return got == "0022\n3", got
	})
	if err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		for _, pid := range d.PIDs("distsuperagent run", "distsuperagent keeper") {
			if n, err := syscall.Getpriority(syscall.PRIO_PROCESS, pid); 20-n != -10 || err != nil {
				t.Errorf("the nice value of the agent or the keeper (pid %d) is %d (%v)", pid, 20-n, err)
			}
		}
	}
	d.types(0, "distsuperagent stop --all")
	d.types(0, "distsuperd stop --all")
}

// Property: the five minutes of the README work line by line, in an empty folder.
func TestTheFiveMinutesOfTheREADMEWorkAsWritten(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(readme), "```\ndistsuperctl init config .")
	block, _, closed := strings.Cut("distsuperctl init config ."+block, "```\n")
	if !found || !closed {
		t.Fatal("README.md does not begin with distsuperctl init config")
	}
	d := newDesk(t)
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, "#")
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "distsuperctl tail -f "):
			d.follow(strings.TrimPrefix(line, "distsuperctl tail -f "), time.Now().Format("2006"))
		default:
			d.types(0, line)
		}
	}
	d.types(3, "distsuperd status")
	d.types(0, "distsuperagent stop --all")
	d.types(0, "distsuperd stop --all")
}

// follow waits for a line of tail -f.
func (d *desk) follow(name, want string) {
	d.t.Helper()
	cmd := d.Command(d.t.Context(), "distsuperctl", "tail", "-f", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		for range lines {
		}
		_ = cmd.Wait() // an interrupt is no success
	}()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				d.t.Fatal("tail -f ended")
			}
			if strings.Contains(line, want) {
				return
			}
		case <-time.After(patience):
			d.t.Fatalf("tail -f %s showed no %q", name, want)
		}
	}
}

// Property: the order of distsuper 0.2, the key space and the programs before the server, works too.
func TestTheOrderOf02Works(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.types(0, "distsuperctl init config .")
	says(t, d.types(0, "distsuperctl init db"), "starting it")
	says(t, d.types(0, "distsuperctl load"), "test")
	d.types(0, "distsuperd start")
	d.types(0, "distsuperagent start")
	d.types(0, "distsuperctl start test")
	says(t, d.types(0, "distsuperctl status"), "RUNNING")
	if n := len(d.PIDs("distsuperd etcd")); n != 1 {
		t.Errorf("%d etcds run, want the one that init db started", n)
	}
	says(t, d.types(1, "distsuperctl init db --drop --yes"), "live")
}

// Property: one daemon of a kind in a state directory, one live machine of a name; codes tell.
func TestASecondDaemonRefusesAndSaysWho(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	d, m := f.Controllers[0], f.Machines[0]
	health, err := fleet.Health(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	refuses := func(n *cluster.Node, code int, part, program string, args ...string) {
		t.Helper()
		r := n.Run(t.Context(), program, args...)
		if r.Code != code || !strings.Contains(r.Stderr, part) {
			t.Errorf("%s %v: exit %d (want %d), want %q in:\n%s", program, args, r.Code, code, part, r.Stderr)
		}
	}
	refuses(d, 1, fmt.Sprint(health.Daemon.PID), "distsuperd", "run")
	refuses(m, 1, "pid", "distsuperagent", "run")
	refuses(d, 2, "unknown flag", "distsuperd", "start", "--no-such-flag")
	refuses(d, 2, "election", "distsuperd", "start", "--election-ttl", "1")
	refuses(m, 2, "no-such-file", "distsuperagent", "start", "-c", "/no-such-file")

	// Another host's agent by the name of a live machine.
	twin, err := f.Cluster.Node("twin", "[distsuperagent]\nmachine = "+m.Name+"\nhttp = 127.0.0.1:0\n")
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	refuses(twin, 1, host, "distsuperagent", "start", "--timeout", "20s")
	if left := twin.PIDs("distsuperagent run"); len(left) > 0 {
		t.Errorf("the refused agent stays, pids %v", left)
	}
	f.must(m, "distsuperagent", "status")
	f.must(d, "distsuperd", "status")
}

// Property: what is in etcd can be read with etcdctl as hack/docs/etcd.md says.
func TestEtcdctlReadsTheKeySpaceAsTheEtcdPageSays(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("etcdctl")
	if err != nil {
		gate.Cannot(t, "there is no etcdctl: install etcd-client")
	}
	f := start(t, 1, 1)
	f.run(1, f.Witness("sample"))
	endpoint := "unix://" + f.Controllers[0].Dir + "/.distsuper/etcd/client.sock"
	cmd := exec.CommandContext(t.Context(), path, "--endpoints", endpoint, "get", "--prefix", "/distsuper/")
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := map[string]string{}
	text := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i := 0; i+1 < len(text); i += 2 {
		lines[text[i]] = text[i+1]
	}
	for key, part := range map[string]string{
		"/distsuper/schema":                        `"version":1`,
		"/distsuper/programs/sample":               `"touch_timeout":2`,
		"/distsuper/intents/sample":                `"want":"run"`,
		"/distsuper/owners/sample":                 `"machine":"m1"`,
		"/distsuper/machines/m1/info":              `"name":"m1"`,
		"/distsuper/machines/m1/alive":             `"instance":"`,
		"/distsuper/machines/m1/touch/sample":      `"token":`,
		"/distsuper/machines/m1/placements/sample": `"on_partition":"keep"`,
		"/distsuper/machines/m1/status/sample":     `"state":"RUNNING"`,
		"/distsuper/controllers/d1":                `"id":"d1"`,
	} {
		if !strings.Contains(lines[key], part) || !json.Valid([]byte(lines[key])) {
			t.Errorf("%s: %q, want JSON with %s", key, lines[key], part)
		}
	}
}
