package spec

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

func texts(remarks []Remark) []string {
	var out []string
	for _, r := range remarks {
		out = append(out, r.String())
	}
	return out
}

func expectLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant:\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestEveryErrorOfAFileIsToldAtItsPlace(t *testing.T) {
	r, err := readText(t, `[program:b]
autostart = maybe
startsecs = x
[program:a]
command = cat
touch_timeout = 1
stopasgroup = true
killasgroup = false
[program:a b]
command = cat
[group:g]
programs = a,cc
`, world)
	if err == nil || r.Programs != nil {
		t.Fatalf("programs %v, error %v; want none and an error", r.Programs, err)
	}
	expectLines(t, "errors", strings.Split(err.Error(), "\n"),
		`/etc/distsuper.ini:1: [program:b]: command is missing; write command = a command line`,
		`/etc/distsuper.ini:2: [program:b] autostart: not a boolean: "maybe"; write true, yes, on or 1, or false, no, off or 0`,
		`/etc/distsuper.ini:3: [program:b] startsecs: not a whole number: "x"; write digits, as in 10`,
		`/etc/distsuper.ini:6: [program:a] touch_timeout: 1 is too small; write a whole number of at least 2 (seconds; a lease in etcd cannot be shorter)`,
		`/etc/distsuper.ini:8: [program:a] killasgroup: stopasgroup is true, and so killasgroup cannot be false: a group that is asked to stop is killed as a group; leave killasgroup out`,
		`/etc/distsuper.ini:9: [program:a b]: the name of a program "a b" may not contain a space, ':' or '/'`,
		`/etc/distsuper.ini:12: [group:g] programs: there is no [program:cc]; there are a, a b, b`)
	var field *FieldError
	if !errors.As(err, &field) || field.Field != "touch_timeout" || field.Value != "1" {
		t.Errorf("the error has the field error %+v, want that of touch_timeout", field)
	}
}

func TestUnknownKeysAndSectionsAreNamedWithTheNearest(t *testing.T) {
	const text = `[progam:x]
command = cat
[wholly_else]
[program]
[groups:g]
[program:a]
command = cat
autostrt = true
dependent_startup = 50%
programs = b
[group:g]
programs = a
priorty = 3
user = bob
`
	want := []string{
		`/etc/distsuper.ini:1: [progam:x]: is not known and not used; did you mean [program:x]?`,
		`/etc/distsuper.ini:3: [wholly_else]: is not known and not used; programs belong in [program:x], groups in [group:x]`,
		`/etc/distsuper.ini:4: [program]: has no name and is not used; write [program:name]`,
		`/etc/distsuper.ini:5: [groups:g]: is not known and not used; did you mean [group:g]?`,
		`/etc/distsuper.ini:8: [program:a] autostrt: is not known and not used; did you mean autostart?`,
		`/etc/distsuper.ini:9: [program:a] dependent_startup: is not known and not used`,
		`/etc/distsuper.ini:10: [program:a] programs: is not known and not used; it belongs in [group:x]`,
		`/etc/distsuper.ini:13: [group:g] priorty: is not known and not used; did you mean priority?`,
		`/etc/distsuper.ini:14: [group:g] user: is not known and not used; it belongs in [program:x]`,
	}
	r, err := readText(t, text, world)
	if err != nil || len(r.Programs) != 1 {
		t.Fatalf("programs %v, error %v", r.Programs, err)
	}
	expectLines(t, "warnings", texts(r.Warnings), want...)

	strict := world
	strict.Strict = true
	if _, err = readText(t, text, strict); err == nil {
		t.Fatal("strict reading took unknown keys")
	}
	expectLines(t, "errors", strings.Split(err.Error(), "\n"), want...)
}

func TestSectionsOfOthersAreSkipped(t *testing.T) {
	r, err := readText(t, `[etcd]
endpoints = x
[embedded-etcd]
[distsuperd]
[distsuperagent]
[distsuperctl]
[include]
files = x
[supervisord]
nodaemon = %
[server]
`, Options{Strict: true})
	if err != nil || len(r.Warnings) > 0 {
		t.Fatalf("warnings %v, error %v", r.Warnings, err)
	}
}

func TestNotesTellWhatWasPutIntoValues(t *testing.T) {
	_, r := readOne(t, "command = %(ENV_HOME)s/run", "startsecs = %(ENV_N)s", "machines = localhost,%(host_node_name)s,::1",
		"process_name = %(host_node_name)s", `environment = %(ENV_N)s_A="%(ENV_N)s"`, "priority = 1%(group_name).0s")
	expectLines(t, "notes", texts(r.Notes),
		`/etc/distsuper.ini:3: [program:web] startsecs: "%(ENV_N)s" depends on the machine; it is expanded here and now, to "3"`,
		`/etc/distsuper.ini:4: [program:web] machines: "localhost,%(host_node_name)s,::1" depends on the machine; it is expanded here and now, to "localhost,desk,::1"`,
		`/etc/distsuper.ini:4: [program:web] machines: localhost is replaced by m1, the name of this machine`,
		`/etc/distsuper.ini:4: [program:web] machines: ::1 is replaced by m1, the name of this machine`,
		`/etc/distsuper.ini:5: [program:web] process_name: "%(host_node_name)s" depends on the machine; it is expanded here and now, to "desk"`,
		`/etc/distsuper.ini:6: [program:web] environment: the name "%(ENV_N)s_A" depends on the machine; it is expanded here and now, to "3_A"`)
}

func TestLocalhostNeedsANameOfItsOwn(t *testing.T) {
	for name, want := range map[string]string{"": "whose name is not known", "localhost": "give it a name of its own"} {
		_, err := readText(t, "[program:a]\ncommand=x\nmachines=localhost\n", Options{LocalMachine: name})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("machine %q: error %v, want one with %q", name, err, want)
		}
	}
}

func TestContradictionsAreTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
		get   func(api.Program) any
		is    any
	}{
		{name: "stderr's log is not used", lines: []string{"redirect_stderr=true", "stderr_logfile=/x"},
			want: []string{"/etc/distsuper.ini:3: [program:web] stderr_logfile: is not used, since redirect_stderr is true"},
			get:  func(p api.Program) any { return p.Stderr.File }, is: "NONE"},
		{name: "stderr AUTO and redirected is no contradiction", lines: []string{"redirect_stderr=true", "stderr_logfile=AUTO", "stderr_logfile_maxbytes=0"},
			get: func(p api.Program) any { return p.Stderr.File }, is: "NONE"},
		{name: "a group stop is a group kill", lines: []string{"stopasgroup=true"},
			get: func(p api.Program) any { return p.KillAsGroup }, is: true},
		{name: "so it may be written", lines: []string{"stopasgroup=true", "killasgroup=true"},
			get: func(p api.Program) any { return p.KillAsGroup }, is: true},
		{name: "the name counts before its alias", lines: []string{"auto_start=false", "autostart=true"},
			want: []string{"/etc/distsuper.ini:2: [program:web] auto_start: is ignored, since autostart is set, too; they are the same key"},
			get:  func(p api.Program) any { return p.Autostart }, is: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, r := readOne(t, append(c.lines, "command=cat")...)
			expectLines(t, "warnings", texts(r.Warnings), c.want...)
			if got := c.get(p); got != c.is {
				t.Errorf("value %v, want %v", got, c.is)
			}
		})
	}
}

func TestOwnKeysCountBeforeInheritedOnes(t *testing.T) {
	r, err := readText(t, `[DEFAULT]
autostart = true
user = bob
unknown = 1
[program:a]
command = cat
auto_start = false
[group:g]
programs = a
`, world)
	if err != nil || len(r.Warnings) > 0 {
		t.Fatalf("warnings %v, error %v", r.Warnings, err)
	}
	if p := r.Programs[0]; p.Autostart || p.User != "bob" {
		t.Errorf("autostart %v, user %q; want false, bob", p.Autostart, p.User)
	}
}

func TestAVariableOfTheProgramCanNameItsProcesses(t *testing.T) {
	p, _ := readOne(t, "command=cat", "numprocs=2", `environment=W="w%(process_num)02d",N="own"`, "process_name=%(ENV_W)s-%(ENV_N)s%%")
	processes, err := Processes(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(processes); !slices.Equal(got, []string{"web:w00-own%", "web:w01-own%"}) {
		t.Errorf("processes %q", got)
	}
}

func TestHereIsTheDirectoryOfTheFileThatSaysIt(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "50% off")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(dir, "root.ini"): "[include]\nfiles = 50%%*/*.ini\n[program:a]\ncommand = %(here)s/run\n",
		filepath.Join(odd, "b.ini"):    "[program:b]\ncommand = '%(here)s/run'\ndirectory = %(here)-5s\nenvironment = A=\"%(here)s\"\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := ini.Load(filepath.Join(dir, "root.ini"), ini.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(f, world)
	if err != nil || len(r.Programs) != 2 {
		t.Fatalf("programs %v, error %v", r.Programs, err)
	}
	escaped := ini.EscapePercent(odd)
	a, b := r.Programs[0], r.Programs[1]
	if a.Command != dir+"/run" || b.Command != "'"+escaped+"/run'" || b.Directory != escaped || !maps.Equal(b.Environment, map[string]string{"A": escaped}) {
		t.Errorf("read %q, %q, %q, %q", a.Command, b.Command, b.Directory, b.Environment)
	}
}

func TestTheSourceIsTheReadersChoice(t *testing.T) {
	r, err := readText(t, "[program:a]\ncommand=x\n", Options{Source: "team-b"})
	if err != nil || r.Programs[0].Source != "team-b" {
		t.Errorf("source %q, error %v", r.Programs[0].Source, err)
	}
	if _, err = readText(t, "[program:a]\ncommand=x\n", Options{Source: "a\nb"}); err == nil {
		t.Error("a source with a line break was taken")
	}
}

func TestGroups(t *testing.T) {
	for _, c := range []struct {
		name, text string
		groups     string // of a, b and c, as fmt prints them
		fault      string
		warns      string
	}{
		{name: "members and priority", text: "[group:g]\nprograms = a, b\npriority = 5\n", groups: "[{g 5}] [{g 5}] []"},
		{name: "several groups", text: "[group:h]\nprograms=a\n[group:g]\nprograms=a\n", groups: "[{g 999} {h 999}] [] []"},
		{name: "a group named as its member", text: "[group:a]\nprograms=a,b\n", groups: "[{a 999}] [{a 999}] []"},
		{name: "a value from the environment", text: "[group:g]\nprograms=a\npriority=%(ENV_N)s\n", groups: "[{g 3}] [] []"},
		{name: "spaces around the name", text: "[group: g ]\nprograms=a\n", groups: "[{g 999}] [] []"},
		{name: "named twice", text: "[group:g]\nprograms=a,a\n", groups: "[{g 999}] [] []", warns: "a is named twice, which counts once"},
		{name: "empty", text: "[group:g]\nprograms=\n", groups: "[] [] []", warns: "the group has no processes"},
		{name: "an fcgi-program", text: "[fcgi-program:f]\ncommand=x\nsocket=tcp://a:1\n[group:g]\nprograms=a,f\n", groups: "[{g 999}] [] []", warns: "does not run"},
		{name: "an fcgi-program of a program's name", text: "[fcgi-program:a]\ncommand=x\nsocket=tcp://a:1\n[group:g]\nprograms=a\n", fault: "a is ambiguous: there are [program:a] and [fcgi-program:a]"},
		{name: "an fcgi-program beside a program of its name", text: "[fcgi-program:a]\ncommand=x\nsocket=tcp://a:1\n", fault: "the group a is also that of [program:a]"},
		{name: "a listener of a program's name", text: "[eventlistener:a]\ncommand=x\nevents=EVENT\n", fault: "the group a is also that of [program:a]"},
		{name: "no programs", text: "[group:g]\n", fault: "names no programs; write programs = a,b"},
		{name: "trailing comma", text: "[group:g]\nprograms=a,\n", fault: "an extra comma"},
		{name: "unknown program", text: "[group:g]\nprograms=aa\n", fault: "there is no [program:aa]; did you mean a?"},
		{name: "bad priority", text: "[group:g]\nprograms=a\npriority=high\n", fault: "not a whole number"},
		{name: "unset variable", text: "[group:g]\nprograms=%(ENV_NONE)s\n", fault: "the environment variable NONE is needed here"},
		{name: "unknown name", text: "[group:g]\nprograms=%(program_name)s\n", fault: "the name program_name is not known"},
		{name: "bad name", text: "[group:g:h]\nprograms=a\n", fault: "may not contain"},
		{name: "the same twice", text: "[group:g]\nprograms=a\n[group: g]\nprograms=b\n", fault: "the group g is also [group:g] of /etc/distsuper.ini:7"},
		{name: "named as a program outside", text: "[group:c]\nprograms=a,b\n", fault: "the group c is also that of [program:c] in /etc/distsuper.ini:5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := readText(t, "[program:a]\ncommand=x\n[program:b]\ncommand=x\n[program:c]\ncommand=x\n"+c.text, world)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("error %v, want one with %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join([]string{groups(r.Programs[0]), groups(r.Programs[1]), groups(r.Programs[2])}, " "); got != c.groups {
				t.Errorf("groups %s, want %s", got, c.groups)
			}
			if got := strings.Join(texts(r.Warnings), "\n"); (got == "") != (c.warns == "") || !strings.Contains(got, c.warns) {
				t.Errorf("warnings %q, want one with %q", got, c.warns)
			}
		})
	}
}

func TestAGroupNameInSeveralGroupsIsNotClear(t *testing.T) {
	const text = "[program:a]\ncommand=x\nmachines=zone=%(group_name)s\n[group:g]\nprograms=a\n"
	r, err := readText(t, text, world)
	if err != nil || r.Programs[0].Machines[0] != "zone=g" {
		t.Errorf("programs %v, error %v", r.Programs, err)
	}
	_, err = readText(t, text+"[group:h]\nprograms=a\n", world)
	if err == nil || !strings.Contains(err.Error(), "the program is in several groups") {
		t.Errorf("error %v", err)
	}
}

func TestTwoProgramsCannotAskForOneProcess(t *testing.T) {
	_, err := readText(t, "[program:a]\ncommand=x\nprocess_name=p\n[program:b]\ncommand=x\nprocess_name=p\n[group:g]\nprograms=a,b\n", world)
	var conflict *ConflictError
	if !errors.As(err, &conflict) || conflict.Process != "g:p" || conflict.Programs != [2]string{"a", "b"} {
		t.Fatalf("error %v", err)
	}
	if want := "/etc/distsuper.ini:6: [program:b] process_name: the process g:p of program b would be one of program a, too"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q", err)
	}
}

func TestAProgramIsNamedOnce(t *testing.T) {
	_, err := readText(t, "[program:a]\ncommand=x\n[program: a]\ncommand=y\n", world)
	if want := "/etc/distsuper.ini:1: [program:a]: the program a is also [program: a] of /etc/distsuper.ini:3"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	r, err := readText(t, "[program: a ]\ncommand=x\n[program:b]\ncommand=x\n[program:b]\ndirectory=/\n", world)
	if err != nil || len(r.Programs) != 2 || r.Programs[0].Name != "a" || r.Programs[1].Directory != "/" {
		t.Errorf("programs %+v, error %v", r.Programs, err)
	}
}

// groups shows the groups that a program is a member of.
func groups(p api.Program) string {
	var all []string
	for _, g := range p.Groups {
		all = append(all, fmt.Sprintf("{%s %d}", g.Name, g.Priority))
	}
	return fmt.Sprint(all)
}
