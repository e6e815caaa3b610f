package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

func ids(processes []api.Process) []string {
	var out []string
	for _, p := range processes {
		out = append(out, p.ID())
	}
	return out
}

// program makes a valid one of the defaults.
func program(name string, change ...func(*api.Program)) api.Program {
	p := Defaults()
	p.Name, p.Source, p.Command = name, "file", "cat"
	for _, c := range change {
		c(&p)
	}
	return Normalize(p)
}

func TestProcessNames(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*api.Program)
		want   string
		fault  string
	}{
		{name: "one", change: func(p *api.Program) {}, want: "web"},
		{name: "none", change: func(p *api.Program) { p.Numprocs = 0 }, want: ""},
		{name: "numbered", change: func(p *api.Program) {
			p.Numprocs, p.NumprocsStart, p.ProcessName = 3, 8, "%(program_name)s_%(process_num)02d"
		}, want: "web:web_08 web:web_09 web:web_10"},
		{name: "below zero", change: func(p *api.Program) { p.Numprocs, p.NumprocsStart, p.ProcessName = 2, -1, "%(process_num)d" }, want: "web:-1 web:0"},
		{name: "in groups", change: func(p *api.Program) {
			p.Groups = []api.Group{{Name: "g", Priority: 1}, {Name: "web", Priority: 2}}
		}, want: "g:web web"},
		{name: "by group", change: func(p *api.Program) {
			p.Groups, p.ProcessName = []api.Group{{Name: "g"}, {Name: "h"}}, "%(group_name)s_%(numprocs)d"
		}, want: "g:g_1 h:h_1"},
		{name: "odd", change: func(p *api.Program) { p.Name = "a%;ü]=%(x)s" }, want: "a%;ü]=%(x)s"},
		{name: "twice", change: func(p *api.Program) { p.Numprocs = 2 }, fault: "needs %(process_num)d when numprocs is above 1"},
		{name: "empty", change: func(p *api.Program) { p.ProcessName = "%(program_name).0s" }, fault: "the name of a process is empty"},
		{name: "of the machine", change: func(p *api.Program) { p.ProcessName = "%(host_node_name)s" }, fault: "host_node_name"},
		{name: "with a colon", change: func(p *api.Program) { p.ProcessName = "a:b" }, fault: "may not contain"},
		{name: "too long", change: func(p *api.Program) { p.ProcessName = "%(program_name)201s" }, fault: "longer than 200 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			processes, err := Processes(program("web", c.change))
			if c.fault != "" {
				var field *FieldError
				if !errors.As(err, &field) || field.Field != "process_name" || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("error %v, want one of process_name with %q", err, c.fault)
				}
				return
			}
			if err != nil || strings.Join(ids(processes), " ") != c.want {
				t.Errorf("processes %v, error %v; want %s", ids(processes), err, c.want)
			}
		})
	}
}

func TestAGroupsPriorityIsItsOwnOrTheProgramsWhenAlone(t *testing.T) {
	alone, _ := Processes(program("web", func(p *api.Program) { p.Priority = 5 }))
	if alone[0].GroupPriority != 5 || alone[0].Priority != 5 {
		t.Errorf("alone: %d, %d", alone[0].GroupPriority, alone[0].Priority)
	}
	member, _ := Processes(program("web", func(p *api.Program) { p.Priority, p.Groups = 5, []api.Group{{Name: "g", Priority: 7}} }))
	if member[0].GroupPriority != 7 || member[0].Priority != 5 {
		t.Errorf("in a group: %d, %d", member[0].GroupPriority, member[0].Priority)
	}
}

// onKeeper expands a template as the keeper does.
func onKeeper(t *testing.T, template string, passes int) string {
	t.Helper()
	for range passes {
		var err error
		if template, err = ini.Expand(template, ini.Vars{"ENV_HOME": "/root", "host_node_name": "m7"}); err != nil {
			t.Fatal(err)
		}
	}
	return template
}

func TestWhatDependsOnTheMachineStaysForTheMachine(t *testing.T) {
	p := program("100%", func(p *api.Program) {
		p.Numprocs, p.ProcessName = 2, "n%(process_num)d"
		p.Command = "%(ENV_HOME)s/%(program_name)s %(process_num)d/%(numprocs)d %% %(host_node_name)s"
		p.Directory = "~/%(group_name)s"
		p.User = "u%(process_num)d"
		p.Environment = map[string]string{"A": "%(process_num)d%%%(ENV_HOME)s", "B": "%(program_name)s"}
		p.Stdout.File = "/log/%(program_name)s/%(ENV_HOME)s-%(process_num)d.%%%%"
		p.Stderr.File = "/log/%%(process_num)d-%(program_name)s-%%(host_node_name)s"
	})
	processes, err := Processes(p)
	if err != nil {
		t.Fatal(err)
	}
	second := processes[1]
	if second.Command != "%(ENV_HOME)s/100%% 1/2 %% %(host_node_name)s" || second.Directory != "~/100%%" || second.User != "u1" {
		t.Errorf("templates %q, %q, %q", second.Command, second.Directory, second.User)
	}
	for _, c := range []struct {
		template string
		passes   int
		want     string
	}{
		{second.Command, 1, "/root/100% 1/2 % m7"},
		{second.Directory, 1, "~/100%"},
		{second.Environment["A"], 1, "1%/root"},
		{second.Environment["B"], 1, "100%"},
		{second.Stdout.File, 2, "/log/100%//root-1.%"},
		{second.Stderr.File, 2, "/log/1-100%-m7"},
	} {
		if got := onKeeper(t, c.template, c.passes); got != c.want {
			t.Errorf("%q is %q on the machine, want %q", c.template, got, c.want)
		}
	}
	p.Environment["A"] = "changed"
	if second.Environment["A"] == "changed" {
		t.Error("the process shares its environment with the program")
	}
}

func TestAWrittenServerURLIsInTheEnvironmentUnlessThatHasItsOwn(t *testing.T) {
	for _, c := range []struct{ own, want string }{{"", "http://x/50%%"}, {"unix:///y", "unix:///y"}} {
		p := program("web", func(p *api.Program) {
			p.ServerURL = "http://x/50%"
			if c.own != "" {
				p.Environment = map[string]string{"SUPERVISOR_SERVER_URL": c.own}
			}
		})
		processes, err := Processes(p)
		if err != nil || processes[0].Environment["SUPERVISOR_SERVER_URL"] != c.want {
			t.Errorf("own %q: environment %q, error %v; want %q", c.own, processes[0].Environment, err, c.want)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "ünïcode": true, "a-b_c.d%;#": true, strings.Repeat("x", 200): true,
		"": false, " ": false, "a b": false, "a:b": false, "a/b": false, "a\tb": false, "a\u00a0b": false,
		"a\nb": false, "a\x00": false, "a\u202eb": false, "a\u0085b": false, "..": false, ".": false, "a..b": true, "web*": false, "web?": true, "a\x7f": false, "\xff": false, strings.Repeat("x", 201): false,
	} {
		if err := ValidName("the name of a thing", name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFingerprintChangesWithWhatTheProcessSees(t *testing.T) {
	base, _ := Processes(program("web"))
	for _, k := range Keys() {
		changed := program("web", func(p *api.Program) { changeKey(t, p, k) })
		processes, err := Processes(changed)
		if err != nil {
			t.Fatalf("%s: %v", k.Name, err)
		}
		differs := len(processes) == 1 && Fingerprint(processes[0]) != Fingerprint(base[0])
		if differs != k.Restarts {
			t.Errorf("%s: the fingerprint differs: %v; the table says that it restarts: %v", k.Name, differs, k.Restarts)
		}
	}
}

// other has for each key a value that is not its default.
var other = map[string]string{
	"stdout_syslog": "true", "stderr_syslog": "true", "strip_ansi": "true", "serverurl": "http://x:9001",
	"command": "tac", "shell": "true", "machines": "m2", "process_name": "p%(process_num)d", "numprocs": "0", "numprocs_start": "4",
	"priority": "1", "autostart": "false", "startsecs": "9", "startretries": "9", "autorestart": "true", "exitcodes": "7",
	"stopsignal": "INT", "stopwaitsecs": "9", "stopasgroup": "true", "killasgroup": "true", "leave_children": "true",
	"touch_timeout": "9", "max_fail_count": "9", "on_partition": "stop", "on_store_outage": "stop", "user": "bob", "directory": "/tmp", "umask": "077",
	"environment": `A="1"`, "redirect_stderr": "true", "stdout_logfile": "/o", "stdout_logfile_maxbytes": "9", "stdout_logfile_backups": "9",
	"stderr_logfile": "/e", "stderr_logfile_maxbytes": "9", "stderr_logfile_backups": "9",
}

func changeKey(t *testing.T, p *api.Program, k Key) {
	t.Helper()
	if k.NoEffect && k.Default == "" { // nothing keeps its value
		return
	}
	text, ok := other[k.Name]
	if !ok {
		t.Fatalf("no other value for %s", k.Name)
	}
	if err := k.set(p, text); err != nil {
		t.Fatalf("%s: %v", k.Name, err)
	}
}

func TestConflictIsFoundAcrossSourcesAndGroups(t *testing.T) {
	a := program("a", func(p *api.Program) { p.Groups = []api.Group{{Name: "g"}}; p.ProcessName = "b" })
	b := program("b", func(p *api.Program) { p.Groups = []api.Group{{Name: "g"}, {Name: "h"}}; p.Source = "api" })
	var conflict *ConflictError
	if err := Conflict([]api.Program{b, a}); !errors.As(err, &conflict) || conflict.Process != "g:b" || !strings.Contains(err.Error(), `of program b of source "api"`) {
		t.Errorf("error %v", err)
	}
	b.Groups = b.Groups[1:]
	if err := Conflict([]api.Program{a, b}); err != nil {
		t.Error(err)
	}
}
