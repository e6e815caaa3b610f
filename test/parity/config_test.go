package parity

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/spec"
)

// A configCase is one file for both sides.
type configCase struct {
	name, text, differs string
	strict              bool
}

// configCases are all cases of the tables, as files.
func configCases() []configCase {
	var out []configCase
	for _, c := range valueCases {
		for _, value := range c.values {
			text := "[supervisord]\n[program:a]\n" + c.key + " = " + value + "\n"
			if c.key != "command" {
				text += "command = x\n"
			}
			out = append(out, configCase{name: c.key + " = " + value, text: text, differs: c.differs})
		}
	}
	for _, c := range daemonCases {
		for _, value := range c.values {
			text := "[supervisord]\n" + c.key + " = " + value + "\n[program:a]\ncommand = x\n"
			out = append(out, configCase{name: "[supervisord] " + c.key + " = " + value, text: text, differs: c.differs, strict: true})
		}
	}
	for _, c := range fileCases {
		text := c.text
		if !c.raw {
			text = "[supervisord]\n" + text
		}
		out = append(out, configCase{name: c.name, text: text, differs: c.differs, strict: c.strict})
	}
	return out
}

// TestBothSidesReadTheSame holds every case to the oracle. Where a case names a difference, there has to be one,
// so that no row of the table outlives its reason.
func TestBothSidesReadTheSame(t *testing.T) {
	needOracle(t)
	dir := t.TempDir()
	cases := configCases()
	if len(cases) < 150 {
		t.Errorf("there are only %d cases", len(cases))
	}
	refused, shown := 0, map[string]bool{}
	for i, c := range cases {
		path := filepath.Join(dir, fmt.Sprintf("%03d.conf", i))
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		a, b := ours(t, path, c.strict), theirs(t, path, c.strict)
		found := compare(a, b)
		switch {
		case len(found) > 0 && c.differs == "":
			t.Errorf("%s:\n%s", c.name, strings.Join(found, "\n"))
		case len(found) == 0 && c.differs != "":
			t.Errorf("%s: both sides do the same, though the case names the difference %s\nours: %s", c.name, c.differs, verdict(a))
		}
		shown[c.differs] = true
		if b.Refused != "" {
			refused++
		}
	}
	for _, d := range Differences {
		if d.Area == AreaConfiguration && !shown[d.ID] {
			t.Errorf("no case shows the difference %s", d.ID)
		}
		delete(shown, d.ID)
	}
	delete(shown, "")
	for id := range shown {
		t.Errorf("the difference %s is not in the table", id)
	}
	t.Logf("%d cases, %d of them refused by supervisor", len(cases), refused)
}

// TestEveryRealConfigurationReadsTheSame loads whole configurations, with what they include.
func TestEveryRealConfigurationReadsTheSame(t *testing.T) {
	needOracle(t)
	roots, err := filepath.Glob(filepath.Join("testdata", "real", "*", "supervisord.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if len(roots) < 20 {
		t.Errorf("there are only %d configurations", len(roots))
	}
	for _, root := range roots {
		name := filepath.Base(filepath.Dir(root))
		path, err := filepath.Abs(root)
		if err != nil {
			t.Fatal(err)
		}
		a, b := ours(t, path, false), theirs(t, path, false)
		if b.Refused != "" || len(b.Groups) == 0 {
			t.Errorf("%s: supervisor refuses it, or finds nothing: %s", name, verdict(b))
		}
		if found := compare(a, b); len(found) > 0 {
			t.Errorf("%s:\n%s", name, strings.Join(found, "\n"))
		}
	}
}

// expectedWarnings are parts of those that real configurations cause: the files of a checkout are readable to all.
var expectedWarnings = []string{"has no effect in a fleet", "no file matches", "[supervisord] http_port: is not known",
	"every user of this machine can read it"}

// TestEveryRealConfigurationLoadsUnchanged goes the way of distsuperctl load: nothing is refused, and all that is
// said about supervisor's own sections is what a fleet does not follow.
func TestEveryRealConfigurationLoadsUnchanged(t *testing.T) {
	roots, err := filepath.Glob(filepath.Join("testdata", "real", "*", "supervisord.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range environ {
		t.Setenv(name, value)
	}
	for _, root := range roots {
		name := filepath.Base(filepath.Dir(root))
		path, err := filepath.Abs(root)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(config.EnvFile, path)
		cfg, err := config.Load(config.Options{Program: config.Ctl, Host: host})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range cfg.Warnings {
			if !slices.ContainsFunc(expectedWarnings, func(known string) bool { return strings.Contains(w, known) }) {
				t.Errorf("%s: warning %s", name, w)
			}
		}
		r, err := spec.Read(cfg.Ini, spec.Options{Environ: environ, HostNode: host, LocalMachine: cfg.Agent.Machine})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range r.Warnings {
			if strings.HasPrefix(w.Section, "rpcinterface") || strings.Contains(w.Section, "_http_server") || w.Section == "supervisorctl" {
				t.Errorf("%s: warning %s", name, w)
			}
		}
	}
}

// TestEveryWrongAnswerIsFound plants wrong answers, one by one, in a reading that is right: the comparer must
// find each.
func TestEveryWrongAnswerIsFound(t *testing.T) {
	right := func() reading {
		return reading{
			Groups: []group{
				{Kind: "program", Name: "web", Priority: 999, Processes: []process{
					{Name: "web_0", Command: "run 0", ExitCodes: []int{0, 2}, Environment: map[string]string{"A": "1"}, Stdout: log{File: "AUTO", MaxBytes: 5, Backups: 2}},
					{Name: "web_1", Command: "run 1", ExitCodes: []int{0}},
				}},
				{Kind: "eventlistener", Name: "l", Priority: -1, Events: []string{"TICK_60"}, BufferSize: 10, Processes: []process{{Name: "l"}}},
			},
			Servers: []server{{Section: "inet_http_server", Port: 9001}},
		}
	}
	if found := compare(right(), right()); len(found) > 0 {
		t.Fatalf("the right answer is found wrong: %q", found)
	}
	refusal := reading{Refused: "no"}
	if found := compare(refusal, reading{Refused: "another text"}); len(found) > 0 {
		t.Fatalf("two refusals differ: %q", found)
	}
	web := func(r *reading) *process { return &r.Groups[0].Processes[0] }
	for name, plant := range map[string]func(r *reading){
		"it is refused":             func(r *reading) { *r = refusal },
		"a process too few":         func(r *reading) { r.Groups[0].Processes = r.Groups[0].Processes[:1] },
		"a process too many":        func(r *reading) { r.Groups[0].Processes = append(r.Groups[0].Processes, process{}) },
		"a process twice":           func(r *reading) { r.Groups[0].Processes[1] = r.Groups[0].Processes[0] },
		"a group too few":           func(r *reading) { r.Groups = r.Groups[:1] },
		"a group of another kind":   func(r *reading) { r.Groups[1].Kind = "program" },
		"a group's priority":        func(r *reading) { r.Groups[1].Priority = 999 },
		"an event too many":         func(r *reading) { r.Groups[1].Events = append(r.Groups[1].Events, "TICK_5") },
		"another event":             func(r *reading) { r.Groups[1].Events = []string{"TICK_6"} },
		"a buffer":                  func(r *reading) { r.Groups[1].BufferSize++ },
		"no server":                 func(r *reading) { r.Servers = nil },
		"the daemon's umask":        func(r *reading) { r.Daemon.Umask = 18 },
		"another port":              func(r *reading) { r.Servers[0].Port++ },
		"a missing blank":           func(r *reading) { web(r).Command = "run0" },
		"a blank at the end":        func(r *reading) { web(r).Command += " " },
		"another name":              func(r *reading) { web(r).Name = "web_00" },
		"an exit code too few":      func(r *reading) { web(r).ExitCodes = []int{0} },
		"no exit codes":             func(r *reading) { r.Groups[0].Processes[1].ExitCodes = nil },
		"another value":             func(r *reading) { web(r).Environment["A"] = "2" },
		"another variable":          func(r *reading) { web(r).Environment["B"] = "" },
		"no variables":              func(r *reading) { web(r).Environment = nil },
		"NONE for AUTO":             func(r *reading) { web(r).Stdout.File = "NONE" },
		"a byte":                    func(r *reading) { web(r).Stdout.MaxBytes++ },
		"the other channel":         func(r *reading) { web(r).Stdout, web(r).Stderr = web(r).Stderr, web(r).Stdout },
		"a backup":                  func(r *reading) { web(r).Stdout.Backups = 0 },
		"syslog":                    func(r *reading) { web(r).Stderr.Syslog = true },
		"autostart":                 func(r *reading) { web(r).Autostart = !web(r).Autostart },
		"another user":              func(r *reading) { web(r).User = "0" },
		"a umask of 0 and none":     func(r *reading) { web(r).Umask = "0o0" },
		"a retry":                   func(r *reading) { web(r).StartRetries++ },
		"the priority of a process": func(r *reading) { web(r).Priority-- },
	} {
		wrong := right()
		plant(&wrong)
		if len(compare(wrong, right())) == 0 || len(compare(right(), wrong)) == 0 {
			t.Errorf("nothing was found: %s", name)
		}
	}
}
