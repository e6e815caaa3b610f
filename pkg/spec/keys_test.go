package spec

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// world is the environment in which tests read files.
var world = Options{
	Environ:  map[string]string{"HOME": "/root", "N": "3", "ODD": "50% (x)", "EMPTY": ""},
	HostNode: "desk", LocalMachine: "m1",
}

// readText reads a file that stands at /etc/distsuper.ini.
func readText(t *testing.T, text string, o Options) (*Result, error) {
	t.Helper()
	f, err := ini.Parse("/etc/distsuper.ini", text)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return Read(f, o)
}

// readOne reads a section of one program, which has to be right.
func readOne(t *testing.T, lines ...string) (api.Program, *Result) {
	t.Helper()
	r, err := readText(t, "[program:web]\n"+strings.Join(lines, "\n")+"\n", world)
	if err != nil {
		t.Fatal(err)
	}
	return r.Programs[0], r
}

// keyCases has, for every key, texts that are accepted with the value that the program gets, as %v prints it,
// and texts that are refused with a part of the error. warns is a part of the one warning.
var keyCases = []struct {
	key, text          string
	want, fault, warns string
}{
	{key: "command", text: `/bin/cat -n "a b"`, want: `/bin/cat -n "a b"`},
	{key: "command", text: "cat %(here)s/x %% %(ENV_HOME)s %(process_num)02d", want: "cat /etc/x %% %(ENV_HOME)s %(process_num)02d"},
	{key: "command", text: "cat a | wc", want: "cat a | wc", warns: "has |, which no shell will see"},
	{key: "command", text: "cd /tmp && ls", want: "cd /tmp && ls", warns: "has cd and &, which no shell will see"},
	{key: "command", text: "echo '|' \\; 'a;b'", want: "echo '|' \\; 'a;b'"},
	{key: "command", text: "echo 'a", want: "echo 'a", warns: "cannot be split into words and will not start: No closing quotation"},
	{key: "command", text: "/usr/bin/pidproxy /run/x.pid x", want: "/usr/bin/pidproxy /run/x.pid x", warns: "write distsuperd pidproxy in its place"},
	{key: "command", text: "distsuperd pidproxy /run/x.pid x", want: "distsuperd pidproxy /run/x.pid x"},
	{key: "command", text: "", fault: "a program needs a command"},
	{key: "command", text: "echo %s", fault: "names no variable"},
	{key: "command", text: "echo 100%", fault: "is badly formatted"},
	{key: "command", text: "echo %(nothing)s", fault: `the name "nothing" is not known here; there are program_name`},
	{key: "command", text: "echo %(ENV_X)d", fault: "badly formatted"},
	{key: "shell", text: "true", want: "true"},
	{key: "shell", text: "2", fault: "not a boolean"},
	{key: "machines", text: "a, b ,zone = x", want: "[a b zone=x]"},
	{key: "machines", text: "", want: "[]"},
	{key: "machines", text: "10.0.0.7,fe80::1", want: "[10.0.0.7 fe80::1]"},
	{key: "machines", text: "b,a,b", want: "[b a]"},
	{key: "machines", text: "LocalHost,127.0.0.1,::1,m2", want: "[m1 m2]"},
	{key: "machines", text: "zone=%(program_name)s-%(group_name)s", want: "[zone=web-web]"},
	{key: "machines", text: "a,", fault: "has an extra comma"},
	{key: "machines", text: "a b", fault: "has white space in it; separate machines by commas"},
	{key: "machines", text: "=a", fault: "is not a name, an address or a label"},
	{key: "process_name", text: "p-%(process_num)02d", want: "p-%(process_num)02d"},
	{key: "process_name", text: "p%(ENV_N)s%(host_node_name)s%(group_name)s", want: "p3desk%(group_name)s"},
	{key: "process_name", text: "a/b", fault: "may not contain a space, ':' or '/'"},
	{key: "process_name", text: "", want: "%(program_name)s", warns: "is empty, which counts as unset"},
	{key: "process_name", text: "%(ENV_NONE)s", fault: "needs the environment variable NONE"},
	{key: "numprocs", text: "0", want: "0"},
	{key: "numprocs", text: "-1", want: "0", warns: "-1 counts as 0"},
	{key: "numprocs", text: "%(ENV_N)s", fault: "needs %(process_num)d when numprocs is above 1"},
	{key: "numprocs", text: "1000000", fault: "1000000 is too large; a program may have 10000 processes"},
	{key: "numprocs", text: "1.5", fault: "not a whole number"},
	{key: "numprocs_start", text: "-5", want: "-5"},
	{key: "numprocs_start", text: "x", fault: "not a whole number"},
	{key: "priority", text: "-1", want: "-1"},
	{key: "priority", text: "", fault: "not a whole number"},
	{key: "priority", text: "99999999999", fault: "is too large"},
	{key: "priority", text: "%(process_num)d", fault: "cannot use process_num: all processes of the program share priority"},
	{key: "autostart", text: "No", want: "false"},
	{key: "autostart", text: "unexpected", fault: "not a boolean"},
	{key: "auto_start", text: "off", want: "false"},
	{key: "startsecs", text: "%(ENV_N)s", want: "3"},
	{key: "startsecs", text: "-1", want: "0", warns: "-1 counts as 0"},
	{key: "startsecs", text: "1s", fault: "not a whole number"},
	{key: "startretries", text: "1_000", want: "1000"},
	{key: "startretries", text: "many", fault: "not a whole number"},
	{key: "autorestart", text: "UNEXPECTED", want: "unexpected"},
	{key: "autorestart", text: "1", want: "true"},
	{key: "autorestart", text: "never", fault: "unexpected"},
	{key: "auto_restart", text: "false", want: "false"},
	{key: "exitcodes", text: "2, 0,2", want: "[0 2]"},
	{key: "exitcodes", text: "", want: "[]"},
	{key: "exitcodes", text: "256", fault: "not a list of exit codes"},
	{key: "stopsignal", text: "sigint", want: "INT"},
	{key: "stopsignal", text: "9", want: "KILL"},
	{key: "stopsignal", text: "STOPP", fault: "not a signal"},
	{key: "stopwaitsecs", text: "999999999", want: "999999999"},
	{key: "stopwaitsecs", text: "9999999999", fault: "is too large"},
	{key: "stopasgroup", text: "true", want: "true"},
	{key: "stopasgroup", text: "group", fault: "not a boolean"},
	{key: "killasgroup", text: "yes", want: "true"},
	{key: "killasgroup", text: "", fault: "not a boolean"},
	{key: "leave_children", text: "true", want: "true"},
	{key: "leave_children", text: "all", fault: "not a boolean"},
	{key: "touch_timeout", text: "2", want: "2", warns: "with 2, etcd may be silent for at most 1.2s"},
	{key: "touch_timeout", text: "5", want: "5"},
	{key: "touch_timeout", text: "1", fault: "1 is too small; write a whole number of at least 2"},
	{key: "touch_timeout", text: "0", fault: "0 is too small"},
	{key: "touch_timeout", text: "2.5", fault: "not a whole number"},
	{key: "max_fail_count", text: "0", want: "0"},
	{key: "max_fail_count", text: "-1", fault: "-1 is too small"},
	{key: "on_partition", text: "Keep", want: "keep"},
	{key: "on_partition", text: "stop", want: "stop"},
	{key: "on_partition", text: "", want: "", warns: "is empty"},
	{key: "on_store_outage", text: "Hold", want: "hold"},
	{key: "on_store_outage", text: "stop", want: "stop"},
	{key: "on_store_outage", text: "", want: "", warns: "is empty"},
	{key: "on_store_outage", text: "keep", fault: `neither hold nor stop: "keep"; write hold or stop`},
	{key: "on_partition", text: "move", fault: `neither stop nor keep: "move"; write stop or keep`},
	{key: "user", text: "%(ENV_USER)s", want: "%(ENV_USER)s"},
	{key: "user", text: "", want: "", warns: "is empty, which counts as unset; leave it out, or write a user's name or number"},
	{key: "user", text: "%(x)s", fault: "is not known here"},
	{key: "directory", text: "~/%(here)s", want: "~//etc"},
	{key: "directory", text: "%(here).0s %(here)r", want: " '/etc'"},
	{key: "directory", text: "", want: "", warns: "is empty"},
	{key: "directory", text: "50%", fault: "is badly formatted"},
	{key: "umask", text: "0o22", want: "18"},
	{key: "umask", text: "8", fault: "not an octal number"},
	{key: "umask", text: "", fault: "not an octal number"},
	{key: "environment", text: `A="x,y",B='%(ENV_HOME)s/%(here)s',%(program_name)s_C=%%`, want: "map[A:x,y B:%(ENV_HOME)s//etc web_C:%%]"},
	{key: "environment", text: "", want: "map[]"},
	{key: "environment", text: "A=a b", fault: "quote the whole value"},
	{key: "environment", text: "A=secret%", fault: "it has a percent sign that begins no name"},
	{key: "environment", text: `A="secret%(nope)s"`, fault: `the value of A: the name "nope" is not known here`},
	{key: "environment", text: `A="secret%(ENV_X)d"`, fault: "the value of A: it has a percent sign"},
	{key: "environment", text: `A="secret ;x"`, fault: "begins a comment, within quotes too"},
	{key: "environment", text: `%(process_num)d="x"`, fault: "cannot use process_num: all processes of the program share environment"},
	{key: "environment", text: `web=1,%(program_name)s=2`, fault: "the name web is given twice"},
	{key: "redirect_stderr", text: "on", want: "true"},
	{key: "redirect_stderr", text: "2", fault: "not a boolean"},
	{key: "stdout_logfile_maxbytes", text: "1 kb", want: "1024"},
	{key: "stdout_logfile_maxbytes", text: "0", want: "0", warns: "is never rotated and may fill the disk"},
	{key: "stdout_logfile_maxbytes", text: "%(numprocs)sMB", want: "1048576"},
	{key: "stdout_logfile_maxbytes", text: "1M", fault: "not a size in bytes"},
	{key: "stderr_logfile_maxbytes", text: "2MB", want: "2097152"},
	{key: "stderr_logfile_maxbytes", text: "", fault: "not a size in bytes"},
	{key: "stdout_logfile_backups", text: "0", want: "0"},
	{key: "stdout_logfile_backups", text: "-1", want: "0"},
	{key: "stdout_logfile_backups", text: "%(process_num)d", fault: "cannot use process_num"},
	{key: "stderr_logfile_backups", text: "7", want: "7"},
	{key: "stderr_logfile_backups", text: "x", fault: "not a whole number"},
	{key: "stdout_capture_maxbytes", text: "1MB", warns: "has no effect"},
	{key: "stdout_capture_maxbytes", text: "0"},
	{key: "stdout_capture_maxbytes", text: "x", fault: "not a size"},
	{key: "stderr_capture_maxbytes", text: "1MB", warns: "has no effect"},
	{key: "stderr_capture_maxbytes", text: "1M", fault: "not a size"},
	{key: "stdout_events_enabled", text: "true", warns: "has no effect"},
	{key: "stdout_events_enabled", text: "false"},
	{key: "stdout_events_enabled", text: "x", fault: "not a boolean"},
	{key: "stderr_events_enabled", text: "true", warns: "has no effect"},
	{key: "stderr_events_enabled", text: "x", fault: "not a boolean"},
	{key: "stdout_syslog", text: "true", want: "true"},
	{key: "stdout_syslog", text: "no", want: "false"},
	{key: "stdout_syslog", text: "x", fault: "not a boolean"},
	{key: "stderr_syslog", text: "true", want: "true"},
	{key: "stderr_syslog", text: "x", fault: "not a boolean"},
	{key: "strip_ansi", text: "true", want: "true"},
	{key: "strip_ansi", text: "x", fault: "not a boolean"},
	{key: "serverurl", text: "auto"},
	{key: "serverurl", text: "http://x:%(ENV_N)s", want: "http://x:3"},
	{key: "serverurl", text: "", warns: "is empty"},
	{key: "serverurl", text: "%(x)s", fault: "is not known"},
	{key: "stdout_logfile", text: "/log/%(ENV_X)s/%(process_num)d.log", want: "/log/%(ENV_X)s/%(process_num)d.log"},
	{key: "stdout_logfile", text: "Auto", want: "AUTO"},
	{key: "stdout_logfile", text: "OFF", want: "NONE"},
	{key: "stdout_logfile", text: "none", want: "NONE"},
	{key: "stdout_logfile", text: "", want: "AUTO", warns: "is empty"},
	{key: "stdout_logfile", text: "/log/100%%", fault: "the second time"},
	{key: "stdout_logfile", text: "/log/100%%%%", want: "/log/100%%%%"},
	{key: "stdout_logfile", text: "/log/%%(process_num)d", want: "/log/%%(process_num)d"},
	{key: "stdout_logfile", text: "/log/%(ENV_X)s%%(process_num)d", fault: "the second time"},
	{key: "stdout_logfile", text: "Syslog", want: "NONE", warns: "syslog is deprecated here; write stdout_syslog = true"},
	{key: "stderr_logfile", text: "~/err.log", want: "~/err.log"},
	{key: "stderr_logfile", text: "syslog", want: "NONE", warns: "syslog is deprecated here; write stderr_syslog = true"},
}

// fieldOf finds the value of a key in a program by the name in its JSON.
func fieldOf(p api.Program, key string) any {
	switch key {
	case "stdout_logfile":
		return p.Stdout.File
	case "stdout_logfile_maxbytes":
		return p.Stdout.MaxBytes
	case "stdout_logfile_backups":
		return p.Stdout.Backups
	case "stdout_syslog":
		return p.Stdout.Syslog
	case "stderr_syslog":
		return p.Stderr.Syslog
	case "stderr_logfile":
		return p.Stderr.File
	case "stderr_logfile_maxbytes":
		return p.Stderr.MaxBytes
	case "stderr_logfile_backups":
		return p.Stderr.Backups
	case "umask":
		return *p.Umask
	}
	for _, v := range []reflect.Value{reflect.ValueOf(p), reflect.ValueOf(p.Settings)} {
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if name == strings.Replace(key, "auto_", "auto", 1) {
				return v.Field(i).Interface()
			}
		}
	}
	return ""
}

func TestEachKeyIsReadAsWritten(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range keyCases {
		seen[c.key] = true
		t.Run(fmt.Sprintf("%s=%.30s", c.key, c.text), func(t *testing.T) {
			text := "[program:web]\n" + c.key + " = " + c.text + "\n"
			if c.key != "command" {
				text += "command = cat\n"
			}
			r, err := readText(t, text, world)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("error %v, want one with %q", err, c.fault)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the error shows a value of the environment: %v", err)
				}
				if place := "/etc/distsuper.ini:2: [program:web] " + c.key + ": "; !strings.HasPrefix(err.Error(), place) && c.key != "numprocs" {
					t.Errorf("error %q does not begin with %q", err, place)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(fieldOf(r.Programs[0], c.key)); got != c.want {
				t.Errorf("value %q, want %q", got, c.want)
			}
			switch {
			case c.warns == "" && len(r.Warnings) > 0:
				t.Errorf("warnings %v, want none", r.Warnings)
			case c.warns != "" && (len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Text, c.warns)):
				t.Errorf("warnings %v, want one with %q", r.Warnings, c.warns)
			}
		})
	}
	for _, k := range Keys() {
		for _, name := range append([]string{k.Name}, k.Aliases...) {
			if !seen[name] {
				t.Errorf("no case reads %s", name)
			}
		}
	}
}

func TestTheTableSaysWhatPeopleNeed(t *testing.T) {
	for _, k := range Keys() {
		if k.Form == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: form %q, doc %q", k.Name, k.Form, k.Doc)
		}
		text, err := k.get(Normalize(Defaults()))
		if err != nil || text != k.Default && !k.Template {
			t.Errorf("%s: the default is written %q, %v; the table says %q", k.Name, text, err, k.Default)
		}
	}
}

func TestDefaultsAreSupervisors(t *testing.T) {
	p, _ := readOne(t, "command = cat")
	want := api.Program{
		Name: "web", Source: "file", ProcessName: "%(program_name)s", Numprocs: 1, Autostart: true, MaxFailCount: 3,
		Settings: api.Settings{
			Command: "cat", Priority: 999, StartSecs: 1, StartRetries: 3, Autorestart: api.RestartUnexpected,
			ExitCodes: []int{0}, StopSignal: "TERM", StopWaitSecs: 10, TouchTimeout: 5,
			Stdout: api.Log{File: api.LogAuto, MaxBytes: 50 << 20, Backups: 10},
			Stderr: api.Log{File: api.LogAuto, MaxBytes: 50 << 20, Backups: 10},
		},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("read %+v\nwant %+v", p, want)
	}
}
