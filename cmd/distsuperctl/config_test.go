package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

// checkFile runs config check on a file with that text, whose name is put as FILE in what it says.
func checkFile(t *testing.T, text string, flags ...string) ran {
	t.Helper()
	file := filepath.Join(t.TempDir(), "supervisord.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errout output
	code := execute(t.Context(), newCtl(strings.NewReader(""), &out, &errout), append([]string{"config", "check", file}, flags...))
	plain := func(s string) string { return strings.ReplaceAll(s, file, "FILE") }
	return ran{code, plain(out.String()), plain(errout.String())}
}

func TestConfigCheckExplainsAFileOfSupervisor(t *testing.T) {
	t.Setenv("CHECK_N", "2")
	r := checkFile(t, `[unix_http_server]
file = /run/s.sock
[supervisord]
environment = COMMON="1"
user = app
[program:web]
command = /bin/web %(process_num)d %(ENV_HOME)s
process_name = web_%(process_num)d
numprocs = %(ENV_CHECK_N)s
environment = KEY="secret"
autostrt = no
[program:job]
command = /bin/job
machines = m1
[eventlistener:l]
command = /bin/l
events = TICK_60
`)
	want := `program job (FILE:12)
  processes                job
  command      line 13     /bin/job
  machines     line 14     m1
  environment  line 4 in [supervisord]      COMMON

program web (FILE:6)
  processes               web:web_0, web:web_1
  command       line 7    /bin/web %(process_num)d %(ENV_HOME)s
                in web:web_0  /bin/web 0 %(ENV_HOME)s
                expanded  process_num for each process
                expanded  ENV_HOME on the machine that runs it
  process_name  line 8    web_%(process_num)d
                in web:web_0  web_0
                expanded  process_num for each process
  numprocs      line 9    2
                written   %(ENV_CHECK_N)s
                expanded  ENV_CHECK_N when the file is read
  environment   line 10   COMMON,KEY

eventlistener l (FILE:15, does not run yet)
  processes               l
  command      line 16    /bin/l
  environment  line 4 in [supervisord]     COMMON

Expanded here and now:
  FILE:9: [program:web] numprocs: "%(ENV_CHECK_N)s" depends on the machine; it is expanded here and now, to "2"

Different from supervisor:
  FILE:1: [unix_http_server]: nothing listens at /run/s.sock in a fleet; distsuperctl needs no such server
  in a fleet these may run on any machine, and move when it dies; set machines to choose which: web

Warnings:
  FILE:11: [program:web] autostrt: is not known and not used; did you mean autostart?
  FILE:15: [eventlistener:l]: does not run: distsuper sends no supervisor events yet
  FILE:5: [supervisord] user: has no effect in a fleet: programs run as the agent's user; write user in each [program:x], or once in [DEFAULT]

FILE: 2 programs, 3 processes, and 1 that cannot run yet, 3 warnings
`
	squeeze := func(s string) string {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
	}
	if r.code != 0 || squeeze(r.out) != squeeze(want) || r.errout != "" {
		t.Errorf("exit %d, said\n%s%s\nwant\n%s", r.code, r.out, r.errout, want)
	}
	if strings.Contains(r.out, "secret") {
		t.Error("it shows a value of the environment")
	}
}

func TestConfigCheckExitsWithOneWhenLoadWouldRefuse(t *testing.T) {
	for name, c := range map[string]struct{ text, fault string }{
		"a bad value":            {"[program:a]\ncommand=x\nautostart=maybe\n", "FILE:3: [program:a] autostart: not a boolean"},
		"no command":             {"[program:a]\n", "command is missing"},
		"a line that is nothing": {"[program:a]\nnothing\n", "FILE:2: [program:a]: "},
		"a setting of our own":   {"[distsuperagent]\nmax_processes=x\n", "FILE:2: [distsuperagent] max_processes"},
		"a bad listener":         {"[eventlistener:l]\ncommand=x\n", "events is missing"},
	} {
		r := checkFile(t, c.text)
		if r.code != exitGeneric || !strings.Contains(r.out, "Refused:\n  ") || !strings.Contains(r.out, c.fault) || !strings.Contains(r.out, "FILE would be refused: 1 problem\n") {
			t.Errorf("%s: exit %d, said\n%s%s", name, r.code, r.out, r.errout)
		}
		var k checked
		if r = checkFile(t, c.text, "--json"); r.code != exitGeneric || json.Unmarshal([]byte(r.out), &k) != nil || len(k.Refused) != 1 {
			t.Errorf("%s, as JSON: exit %d, said\n%s", name, r.code, r.out)
		}
	}
}

func TestConfigCheckNeedsAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("DISTSUPER_CONFIG", "")
	t.Setenv("DISTSUPER_ETCD_ENDPOINTS", "")
	var out, errout output
	missing := filepath.Join(t.TempDir(), "none.conf")
	if code := execute(t.Context(), newCtl(strings.NewReader(""), &out, &errout), []string{"config", "check", missing}); code != exitGeneric ||
		!strings.Contains(out.String(), "does not exist") {
		t.Errorf("exit %d, said %s%s", code, out.String(), errout.String())
	}
	if code := execute(t.Context(), newCtl(strings.NewReader(""), &out, &errout), []string{"config"}); code != exitUsage {
		t.Errorf("config alone: exit %d", code)
	}
}

func TestWhatConfigShowPrintsGivesTheSameProgram(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		mask := 0o27
		odd := program("odd", func(p *api.Program) {
			p.Command, p.Directory = "run 'x ;y' %(process_num)d %%", "/tmp/50%% ;off"
			p.Environment = map[string]string{"KEY": "a \"b\" ;c\n%(ENV_HOME)s 50%%", "B": ""}
			p.Numprocs, p.ProcessName, p.Umask = 2, "odd_%(process_num)d", &mask
			p.Stdout.Syslog, p.ServerURL = true, "http://x/50%"
			p.Groups = []api.Group{{Name: "g", Priority: 3}}
		})
		f.load(odd, copies("web", 3))
		for _, name := range []string{"odd", "web"} {
			r := f.wants(exitOK, "*", "config", "show", name)
			file, err := ini.Parse("/etc/x.ini", r.out)
			if err != nil {
				t.Fatalf("%v\n%s", err, r.out)
			}
			back, err := spec.Read(file, spec.Options{})
			if err != nil {
				t.Fatalf("%v\n%s", err, r.out)
			}
			stored, err := f.session().client.Get(t.Context(), name)
			if err != nil || !reflect.DeepEqual(back.Programs, []api.Program{stored.Program}) {
				t.Errorf("printed\n%s\nread   %+v\nstored %+v, error %v", r.out, back.Programs, stored.Program, err)
			}
			var list []api.Program
			if r = f.wants(exitOK, "*", "config", "show", name, "--json"); json.Unmarshal([]byte(r.out), &list) != nil || !reflect.DeepEqual(list, back.Programs) {
				t.Errorf("as JSON it is\n%s", r.out)
			}
		}
		f.wants(exitGeneric, "", "config", "show", "nope")
	})
}

func TestCheckOfABrokenFileThatNobodyNamedIsNoHalfSentence(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("distsuper.ini", []byte("\xff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := (&fleet{t: t}).session()
	if code := execute(t.Context(), s.ctl, []string{"config", "check"}); code != exitGeneric || !strings.Contains(s.stdout.String(), "\nthe configuration that was found would be refused") {
		t.Errorf("exit %d, said %s", code, s.stdout)
	}
}
