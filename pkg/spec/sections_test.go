package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/ini"
)

// sectionCases have a section's lines and what became of it, as %+v prints it, a part of the error, or the parts of the
// warnings.
var sectionCases = []struct {
	name, text string
	want       string
	fault      string
	warns      []string
}{
	{name: "unix server", text: "[unix_http_server]\nfile = %(here)s/s.sock\nchmod=0770\nchown=nobody:adm\nusername=u\npassword=50%%",
		want: "{Section:unix_http_server File:/etc/s.sock Mode:504 Owner:nobody:adm Host: Port:0 Username:u Password:50%}"},
	{name: "unix server with a suffix", text: "[unix_http_server:b]\nfile=/s", want: "{Section:unix_http_server:b File:/s Mode:448 Owner: Host: Port:0 Username: Password:}"},
	{name: "unix server without a file", text: "[unix_http_server]\nchmod=0700", fault: ":1: [unix_http_server]: file is missing"},
	{name: "unix server with an empty file", text: "[unix_http_server]\nfile=", fault: ":2: [unix_http_server] file: it is empty; write the path"},
	{name: "unix server, bad mode", text: "[unix_http_server]\nfile=/s\nchmod=rwx", fault: ":3: [unix_http_server] chmod: not an octal number"},
	{name: "unix server, bad owner", text: "[unix_http_server]\nfile=/s\nchown=a:", fault: `chown: not an owner: "a:"; write user or user:group`},
	{name: "unix server, half a login", text: "[unix_http_server]\nfile=/s\npassword=x", fault: ":3: [unix_http_server] password: has no username beside it"},
	{name: "unix server, other half", text: "[unix_http_server]\nfile=/s\nusername=x", fault: "username: has no password beside it"},
	{name: "unix server, misspelt", text: "[unix_http_server]\nfile=/s\nchmdo=0700", want: "{Section:unix_http_server File:/s Mode:448 Owner: Host: Port:0 Username: Password:}",
		warns: []string{"chmdo: is not known and not used; did you mean chmod?"}},
	{name: "inet server", text: "[inet_http_server]\nport=*:9001", want: "{Section:inet_http_server File: Mode:448 Owner: Host: Port:9001 Username: Password:}"},
	{name: "inet server with a host", text: "[inet_http_server:2]\nport=LOCALHOST:%(ENV_N)s001\nusername=a\npassword={SHA}1",
		want:  "{Section:inet_http_server:2 File: Mode:448 Owner: Host:localhost Port:3001 Username:a Password:{SHA}1}",
		warns: []string{"no password can match it"}},
	{name: "inet server without a port", text: "[inet_http_server]\nusername=a\npassword=b", fault: "port is missing"},
	{name: "inet server, bad port", text: "[inet_http_server]\nport=70000", fault: "port: not an address"},
	{name: "inet server, unset variable", text: "[inet_http_server]\nport=%(ENV_PORT)s", fault: "needs the environment variable PORT here"},
	{name: "inet server, unknown name", text: "[inet_http_server]\nport=%(program_name)s", fault: `uses the name "program_name", which is not known; there are here and`},
	{name: "supervisorctl", text: "[supervisorctl]\nserverurl=unix://%(here)s/s\nprompt=box\nhistory_file=~/.h\nusername=u\npassword=p",
		want: "{ServerURL:unix:///etc/s Username:u Password:p Prompt:box HistoryFile:~/.h}"},
	{name: "supervisorctl, all defaults", text: "[supervisorctl]", want: "{ServerURL:http://localhost:9001 Username: Password: Prompt:supervisor HistoryFile:}"},
	{name: "supervisorctl, bad address", text: "[supervisorctl]\nserverurl=https://x", want: "{ServerURL:http://localhost:9001 Username: Password: Prompt:supervisor HistoryFile:}",
		warns: []string{"serverurl: is not used: not an address of supervisor"}},
	{name: "rpcinterface", text: "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
		want: "{Section:rpcinterface:supervisor Factory:supervisor.rpcinterface:make_main_rpcinterface}"},
	{name: "foreign rpcinterface", text: "[rpcinterface:supvisors]\nsupervisor.rpcinterface_factory=supvisors.plugin:make\nport=60000",
		want: "{Section:rpcinterface:supvisors Factory:supvisors.plugin:make}", warns: []string{"supvisors.plugin:make is not loaded: it is Python"}},
	{name: "rpcinterface without a factory", text: "[rpcinterface:x]", fault: "supervisor.rpcinterface_factory is missing"},
	{name: "rpcinterface with a bad option", text: "[rpcinterface:x]\nsupervisor.rpcinterface_factory=a:b\nz=%(nope)s", fault: "z: "},
	{name: "ctlplugin", text: "[ctlplugin:cache]\nsupervisor.ctl_factory=a:b\nx=%", want: "{Section:ctlplugin:cache Factory:a:b}", warns: []string{"a:b is not loaded"}},
	{name: "ctlplugin without a factory", text: "[ctlplugin:cache]", want: "{Section:ctlplugin:cache Factory:}", warns: []string{"supervisor.ctl_factory is missing"}},
	{name: "listener", text: "[eventlistener:l]\ncommand=x\nevents=tick_60, PROCESS_STATE\nbuffer_size=5",
		want: "l [{l -1}] [PROCESS_STATE TICK_60] 5", warns: []string{"does not run: distsuper sends no supervisor events yet"}},
	{name: "listener with a priority and a handler", text: "[eventlistener:l]\ncommand=x\nevents=EVENT\npriority=3\nresult_handler=a:b",
		want: "l [{l 3}] [EVENT] 10", warns: []string{"does not run", "a:b is not loaded"}},
	{name: "listener without events", text: "[eventlistener:l]\ncommand=x", fault: "events is missing; write events = names"},
	{name: "listener with none", text: "[eventlistener:l]\ncommand=x\nevents=", fault: "events: it is empty"},
	{name: "listener of what is none", text: "[eventlistener:l]\ncommand=x\nevents=TICK_61", fault: "there is no event TICK_61; did you mean TICK_60?"},
	{name: "listener with a comma too many", text: "[eventlistener:l]\ncommand=x\nevents=TICK_60,", fault: "an extra comma"},
	{name: "listener without a buffer", text: "[eventlistener:l]\ncommand=x\nevents=EVENT\nbuffer_size=0", fault: "buffer_size: 0 is too small"},
	{name: "listener that redirects", text: "[eventlistener:l]\ncommand=x\nevents=EVENT\nredirect_stderr=true", fault: "redirect_stderr: cannot be true"},
	{name: "listener with a bad key", text: "[eventlistener:l]\ncommand=x\nevents=EVENT\nstartsecs=x", fault: "startsecs: not a whole number"},
	{name: "listener with a bad name", text: "[eventlistener:l m]\ncommand=x\nevents=EVENT", fault: "may not contain"},
	{name: "fcgi-program", text: "[fcgi-program:f]\ncommand=x\nsocket=unix:///run//%(program_name)s.sock\nsocket_owner=a:b\nsocket_mode=0666\nsocket_backlog=9",
		want: "f unix:///run/f.sock 9 a:b 438", warns: []string{"does not run: distsuper makes no FastCGI sockets yet"}},
	{name: "fcgi-program by tcp", text: "[fcgi-program:f]\ncommand=x\nsocket=tcp://LocalHost:9000", want: "f tcp://localhost:9000 0  0", warns: []string{"does not run"}},
	{name: "fcgi-program without a socket", text: "[fcgi-program:f]\ncommand=x", fault: "socket is missing"},
	{name: "fcgi-program, relative", text: "[fcgi-program:f]\ncommand=x\nsocket=unix://run/s", fault: "is not absolute"},
	{name: "fcgi-program, no port", text: "[fcgi-program:f]\ncommand=x\nsocket=tcp://h", fault: "not a socket"},
	{name: "fcgi-program, port zero", text: "[fcgi-program:f]\ncommand=x\nsocket=tcp://h:0", fault: "not a port"},
	{name: "fcgi-program, owner of tcp", text: "[fcgi-program:f]\ncommand=x\nsocket=tcp://h:1\nsocket_owner=a", fault: "socket_owner: is for a socket of unix:///path only"},
	{name: "fcgi-program, mode of tcp", text: "[fcgi-program:f]\ncommand=x\nsocket=tcp://h:1\nsocket_mode=0700", fault: "socket_mode: is for a socket of unix:///path only"},
	{name: "fcgi-program, backlog", text: "[fcgi-program:f]\ncommand=x\nsocket=tcp://h:1\nsocket_backlog=65536", fault: "is not a backlog"},
}

// summary prints what a result has besides programs.
func summary(r *Result) string {
	var out []string
	for _, s := range r.Servers {
		out = append(out, fmt.Sprintf("%+v", s))
	}
	for _, p := range r.Plugins {
		out = append(out, fmt.Sprintf("%+v", p))
	}
	if r.Ctl != nil {
		out = append(out, fmt.Sprintf("%+v", *r.Ctl))
	}
	for _, l := range r.Listeners {
		out = append(out, fmt.Sprint(l.Program.Name, " ", groups(l.Program), " ", l.Events, " ", l.BufferSize))
	}
	for _, f := range r.FastCGIs {
		out = append(out, fmt.Sprint(f.Program.Name, " ", f.Socket, " ", f.Backlog, " ", f.Owner, " ", f.Mode))
	}
	return strings.Join(out, "\n")
}

func TestSectionsOfSupervisorAreReadAndChecked(t *testing.T) {
	for _, c := range sectionCases {
		t.Run(c.name, func(t *testing.T) {
			r, err := readText(t, c.text+"\n", world)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("error %v, want one with %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(r); got != c.want {
				t.Errorf("read %s\nwant %s", got, c.want)
			}
			warnings := texts(r.Warnings)
			for i, want := range c.warns {
				if i >= len(warnings) || !strings.Contains(warnings[i], want) {
					t.Fatalf("warnings %q, want %q", warnings, c.warns)
				}
			}
			if len(warnings) != len(c.warns) {
				t.Errorf("warnings %q, want %q", warnings, c.warns)
			}
		})
	}
}

func TestTheEnvironmentOfSupervisordIsEveryProgramsBelowItsOwn(t *testing.T) {
	r, err := readText(t, `[supervisord]
environment = A="1%%",B="%(ENV_HOME)s/%(here)s",N="9",%(host_node_name)s_C="x"
[program:a]
command = run %(ENV_A)s
startsecs = %(ENV_N)s
environment = A="own",D="%(ENV_B)s+%(ENV_A)-4s|",E="%(ENV_UNKNOWN)s"
[program:b]
command = x
`, world)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": "own", "B": "%(ENV_HOME)s//etc", "N": "9", "desk_C": "x", "D": "%(ENV_HOME)s//etc+1%%  |", "E": "%(ENV_UNKNOWN)s"}
	if a := r.Programs[0]; !maps.Equal(a.Environment, want) || a.StartSecs != 9 || a.Command != "run %(ENV_A)s" {
		t.Errorf("environment %q, want %q; startsecs %d, command %q", a.Environment, want, a.StartSecs, a.Command)
	}
	if got := slices.Sorted(maps.Keys(r.Programs[1].Environment)); !slices.Equal(got, []string{"A", "B", "N", "desk_C"}) {
		t.Errorf("b has %q", got)
	}
}

func TestAWrongEnvironmentOfSupervisordIsRefused(t *testing.T) {
	for text, fault := range map[string]string{
		"A=a b":               "quote the whole value",
		"A=%":                 "percent sign that begins no name",
		"A=%(program_name)s":  `the value of A uses the name "program_name", which is not known`,
		"%(ENV_NONE)s=1":      "NONE",
		`A="secret%(ENV_X)d"`: "the value of A: it has a percent sign",
	} {
		_, err := readText(t, "[supervisord]\nenvironment = "+text+"\n", world)
		if err == nil || !strings.Contains(err.Error(), fault) || !strings.Contains(err.Error(), ":2: [supervisord] environment: ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want one with %q", text, err, fault)
		}
	}
}

func TestAnAddressOfSupervisorctlIsKnownByItsFile(t *testing.T) {
	f, err := ini.Parse("/d/s.conf", "[unix_http_server]\nfile = %(here)s//s.sock\n[inet_http_server]\nport = *:9001\n"+
		"[inet_http_server:b]\nport = nonsense\n[supervisorctl]\nserverurl = http://box:%(ENV_PORT)s\n[program:a]\n")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"unix:///d/s.sock": true, "unix:///d/./s.sock": true, "unix:///d/t.sock": false, "http://localhost:9001": true, "http://127.0.0.1:9001/": true,
		"http://LOCALHOST:9001": true, "http://localhost:9002": false, "http://box:9009": true, "http://other:9001": false, "": false, "bogus": false,
	} {
		if got := ServedAt(f, Options{Environ: map[string]string{"PORT": "9009"}}, address); got != want {
			t.Errorf("%q: %t", address, got)
		}
	}
}
