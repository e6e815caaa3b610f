package spec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/test/gate"
)

// oracleCases are files that supervisor and we read. ours says why we differ; then we have to.
var oracleCases = []struct{ name, text, ours string }{
	{name: "defaults", text: "[program:a]\ncommand=/bin/cat\n"},
	{name: "all that is simple", text: "[program:a]\ncommand=x 'y z'\npriority=5\nautostart=no\nstartsecs=7\nstartretries=0\nautorestart=1\n" +
		"exitcodes=2,0\nstopsignal=SIGQUIT\nstopwaitsecs=3\nredirect_stderr=off\nuser=root\numask=027\ndirectory=/tmp\n"},
	{name: "numprocs", text: "[program:a]\ncommand=x %(process_num)d/%(numprocs)d\nnumprocs=3\nnumprocs_start=9\nprocess_name=%(program_name)s_%(process_num)02d\n"},
	{name: "numprocs from below zero", text: "[program:a]\ncommand=x\nnumprocs=2\nnumprocs_start=-1\nprocess_name=p%(process_num)d\n"},
	{name: "no processes", text: "[program:a]\ncommand=x\nnumprocs=0\n"},
	{name: "less than none", text: "[program:a]\ncommand=x\nnumprocs=-2\n"},
	{name: "numprocs without a number", text: "[program:a]\ncommand=x\nnumprocs=2\n"},
	{name: "group", text: "[program:a]\ncommand=x\n[program:b]\ncommand=y\npriority=3\n[group:g]\nprograms=b,a\npriority=7\n"},
	{name: "two groups", text: "[program:a]\ncommand=%(group_name)s\n[group:g]\nprograms=a\n[group:h]\nprograms=a\n"},
	{name: "group of the program's name", text: "[program:a]\ncommand=x\n[group:a]\nprograms=a\npriority=2\n"},
	{name: "group with an unknown program", text: "[program:a]\ncommand=x\n[group:g]\nprograms=a,b\n"},
	{name: "group with a trailing comma", text: "[program:a]\ncommand=x\n[group:g]\nprograms=a,\n"},
	{name: "group with a bad priority", text: "[program:a]\ncommand=x\n[group:g]\nprograms=a\npriority=x\n"},
	{name: "bad name", text: "[program:a b]\ncommand=x\n"},
	{name: "name with a slash", text: "[program:a/b]\ncommand=x\n"},
	{name: "unicode name", text: "[program:\u00fc]\ncommand=x\n"},
	{name: "no command", text: "[program:a]\nautostart=true\n"},
	{name: "empty command", text: "[program:a]\ncommand=\n", ours: "supervisor finds out when it starts"},
	{name: "names in every place", text: "[program:a]\ncommand=%(here)s/%(host_node_name)s %(ENV_HOME)s %% %(group_name)-5s|\ndirectory=%(ENV_HOME)s\n" +
		"environment=A=\"%(process_num)d\",B=\"%(host_node_name)s %%\"\nstdout_logfile=/tmp/%(ENV_N)s-%(program_name)s.log\nstartsecs=%(ENV_N)s\n"},
	{name: "own environment", text: "[program:a]\ncommand=%(ENV_W)s\nenvironment=W=\"w%(process_num)d\"\nnumprocs=2\nprocess_name=%(ENV_W)s%(process_num)d\nstdout_logfile=/tmp/%(ENV_W)s\n"},
	{name: "own environment before the daemon's", text: "[program:a]\ncommand=%(ENV_N)s\nenvironment=N=\"9\"\n"},
	{name: "log expanded twice", text: "[program:a]\ncommand=x\nstdout_logfile=/tmp/%%%%-%%(program_name)s-%%(ENV_N)s\nstderr_logfile=/tmp/%(program_name)s%%%%\n"},
	{name: "log with one percent", text: "[program:a]\ncommand=x\nstdout_logfile=/tmp/100%%\n"},
	{name: "log keywords", text: "[program:a]\ncommand=x\nstdout_logfile=Auto\nstderr_logfile=OFF\n"},
	{name: "log sizes", text: "[program:a]\ncommand=x\nstdout_logfile_maxbytes=1KB\nstdout_logfile_backups=0\nstderr_logfile_maxbytes=2 mb\nstderr_logfile_backups=3\n"},
	{name: "log size of the process", text: "[program:a]\ncommand=x\nnumprocs=1\nstdout_logfile_maxbytes=%(numprocs)dKB\n"},
	{name: "log backups that differ", text: "[program:a]\ncommand=x\nstdout_logfile_backups=%(process_num)d\n", ours: "settings are the program's, not the process's"},
	{name: "syslog", text: "[program:a]\ncommand=x\nstdout_logfile=syslog\nstderr_syslog=1\n"},
	{name: "stderr redirected", text: "[program:a]\ncommand=x\nredirect_stderr=true\nstderr_logfile=/tmp/x\n"},
	{name: "stop as group", text: "[program:a]\ncommand=x\nstopasgroup=true\n"},
	{name: "kill as group", text: "[program:a]\ncommand=x\nkillasgroup=true\n"},
	{name: "stop but not kill as group", text: "[program:a]\ncommand=x\nstopasgroup=true\nkillasgroup=false\n"},
	{name: "empty list of exit codes", text: "[program:a]\ncommand=x\nexitcodes=\n"},
	{name: "exit code too large", text: "[program:a]\ncommand=x\nexitcodes=0,256\n"},
	{name: "signal by number", text: "[program:a]\ncommand=x\nstopsignal=10\n"},
	{name: "no signal", text: "[program:a]\ncommand=x\nstopsignal=99\n"},
	{name: "empty umask", text: "[program:a]\ncommand=x\numask=\n"},
	{name: "number in a key of all processes", text: "[program:a]\ncommand=x\nstartsecs=%(process_num)d\n"},
	{name: "unset variable", text: "[program:a]\ncommand=x\npriority=%(ENV_NONE)s\n"},
	{name: "unset variable in the command", text: "[program:a]\ncommand=%(ENV_NONE)s\n"},
	{name: "unknown name", text: "[program:a]\ncommand=%(nope)s\n"},
	{name: "bad format", text: "[program:a]\ncommand=%(here)y\n"},
	{name: "unknown key with a bad format", text: "[program:a]\ncommand=x\nunknown=%(\n"},
	{name: "inherited", text: "[DEFAULT]\nuser=root\nautostart=false\n[program:a]\ncommand=x\n[program:b]\ncommand=y\nautostart=true\n"},
	{name: "ignored keys", text: "[program:a]\ncommand=x\nstdout_capture_maxbytes=1MB\nstderr_events_enabled=true\nserverurl=AUTO\n"},
	{name: "wrong ignored key", text: "[program:a]\ncommand=x\nstdout_capture_maxbytes=lots\n"},
	{name: "empty process_name", text: "[program:a]\ncommand=x\nprocess_name=\n", ours: "supervisor has a process without a name"},
	{name: "one process of two programs", text: "[program:a]\ncommand=x\nprocess_name=p\n[program:b]\ncommand=y\nprocess_name=p\n[group:g]\nprograms=a,b\n",
		ours: "supervisor loses one of them"},
	{name: "negative numbers", text: "[program:a]\ncommand=x\npriority=-5\nnumprocs_start=-3\n"},
	{name: "boolean that is none", text: "[program:a]\ncommand=x\nautostart=maybe\n"},
}

// seen is a process as the oracle prints it.
type seen struct {
	Group          string            `json:"group"`
	Name           string            `json:"name"`
	GroupPriority  int               `json:"group_priority"`
	Command        string            `json:"command"`
	Directory      string            `json:"directory"`
	Umask          int               `json:"umask"`
	Priority       int               `json:"priority"`
	Autostart      bool              `json:"autostart"`
	Autorestart    string            `json:"autorestart"`
	StartSecs      int               `json:"startsecs"`
	StartRetries   int               `json:"startretries"`
	StopSignal     string            `json:"stopsignal"`
	StopWaitSecs   int               `json:"stopwaitsecs"`
	StopAsGroup    bool              `json:"stopasgroup"`
	KillAsGroup    bool              `json:"killasgroup"`
	ExitCodes      []int             `json:"exitcodes"`
	RedirectStderr bool              `json:"redirect_stderr"`
	UID            int               `json:"uid"`
	Environment    map[string]string `json:"environment"`
	Stdout         []any             `json:"stdout"`
	Stderr         []any             `json:"stderr"`
}

var oracleEnviron = map[string]string{"HOME": "/root", "N": "3"}

func TestSupervisorReadsTheSamePrograms(t *testing.T) {
	type question struct {
		Text    string            `json:"text"`
		Here    string            `json:"here"`
		Host    string            `json:"host"`
		Environ map[string]string `json:"environ"`
	}
	var questions []question
	for _, c := range oracleCases {
		questions = append(questions, question{Text: c.text, Here: "/etc", Host: "desk", Environ: oracleEnviron})
	}
	var answers []struct {
		Value []seen `json:"value"`
		Error string `json:"error"`
	}
	askOracle(t, questions, &answers)
	for i, c := range oracleCases {
		ours, err := oursOf(t, c.text)
		theirs := answers[i].Value
		for _, list := range [][]seen{ours, theirs} {
			slices.SortFunc(list, func(a, b seen) int { return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Name, b.Name)) })
		}
		var differs string
		switch {
		case (err != nil) != (answers[i].Error != ""):
			differs = fmt.Sprintf("ours: %v\ntheirs: %s", err, answers[i].Error)
		case !reflect.DeepEqual(ours, theirs) && len(ours)+len(theirs) > 0:
			differs = fmt.Sprintf("ours:   %+v\ntheirs: %+v", ours, theirs)
		}
		if differs != "" && c.ours == "" {
			t.Errorf("%s: %s", c.name, differs)
		}
		if differs == "" && c.ours != "" {
			t.Errorf("%s: supervisor does the same, though the table says: %s", c.name, c.ours)
		}
	}
	t.Logf("%d files", len(oracleCases))
}

// oursOf reads a file and expands its processes as the keeper would, on a machine with the oracle's environment.
func oursOf(t *testing.T, text string) ([]seen, error) {
	r, err := readText(t, text, Options{Environ: oracleEnviron, HostNode: "desk"})
	if err != nil {
		return nil, err
	}
	var out []seen
	for _, program := range r.Programs {
		processes, err := Processes(program)
		if err != nil {
			return nil, err
		}
		for _, p := range processes {
			s, err := onTheMachine(p)
			if err != nil {
				return nil, err
			}
			s.Autostart = program.Autostart
			out = append(out, s)
		}
	}
	return out, nil
}

func onTheMachine(p api.Process) (seen, error) {
	vars := ini.Vars{"host_node_name": "desk"}
	var failed error
	expand := func(template string) string {
		s, err := ini.Expand(template, vars)
		if err != nil {
			failed = err
		}
		return s
	}
	for name, value := range oracleEnviron {
		vars["ENV_"+name] = value
	}
	environment := map[string]string{}
	for name, value := range p.Environment {
		environment[name] = expand(value)
	}
	for name, value := range environment {
		vars["ENV_"+name] = value
	}
	s := seen{Group: p.Group, Name: p.Name, GroupPriority: p.GroupPriority, Command: expand(p.Command), Directory: expand(p.Directory),
		Umask: -1, Priority: p.Priority, Autorestart: string(p.Autorestart), StartSecs: p.StartSecs, StartRetries: p.StartRetries,
		StopSignal: p.StopSignal, StopWaitSecs: p.StopWaitSecs, StopAsGroup: p.StopAsGroup, KillAsGroup: p.KillAsGroup,
		ExitCodes: p.ExitCodes, RedirectStderr: p.RedirectStderr, UID: -1, Environment: environment,
		Stdout: []any{expand(expand(p.Stdout.File)), float64(p.Stdout.MaxBytes), float64(p.Stdout.Backups), p.Stdout.Syslog},
		Stderr: []any{expand(expand(p.Stderr.File)), float64(p.Stderr.MaxBytes), float64(p.Stderr.Backups), p.Stderr.Syslog}}
	if p.Umask != nil {
		s.Umask = *p.Umask
	}
	if p.User == "root" {
		s.UID = 0
	}
	return s, failed
}

// askOracle runs testdata/oracle.py. Without supervisor it skips the test, but fails it where CI=true says
// that it should be there.
func askOracle(t *testing.T, questions, answers any) {
	t.Helper()
	missing := func(reason string) { gate.Cannot(t, "no oracle: %s", reason) }
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		missing(err.Error())
	}
	if out, err := exec.Command(python, "-c", "import supervisor.options").CombinedOutput(); err != nil {
		missing(fmt.Sprintf("%s knows no supervisor: %s", python, out))
	}
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, filepath.Join("testdata", "oracle.py"))
	cmd.Env = append(slices.Clone(os.Environ()), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	if err := json.Unmarshal(output, answers); err != nil {
		t.Fatalf("oracle: %v in %.200s", err, output)
	}
}

// TestEveryKeyOfSupervisorIsKnown asks supervisor's source for the keys that it reads of a program.
func TestEveryKeyOfSupervisorIsKnown(t *testing.T) {
	const source = "/usr/lib/python3/dist-packages/supervisor/options.py"
	text, err := os.ReadFile(source)
	if err != nil {
		gate.Cannot(t, "no oracle: %v", err)
	}
	_, body, _ := strings.Cut(string(text), "def _processes_from_section(")
	body, _, _ = strings.Cut(body, "    def _parse_servernames")
	keys := map[string]bool{}
	for _, part := range strings.Split(body, "get(section,")[1:] {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(part), "'"); ok {
			key, _, _ := strings.Cut(rest, "'")
			keys[key] = true
		}
	}
	if len(keys) < 20 {
		t.Fatalf("found only %v", slices.Sorted(maps.Keys(keys)))
	}
	for key := range keys {
		if !slices.Contains(names(), key) {
			t.Errorf("supervisor's key %s is not known", key)
		}
	}
}
