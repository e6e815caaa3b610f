package spec

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

func written(t *testing.T, programs ...api.Program) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, programs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWritePrintsWhatIsNotTheDefault(t *testing.T) {
	mask := 0o27
	web := program("web", func(p *api.Program) {
		p.Command, p.Directory = "a 'x ;y'", "/tmp/50%% ;off"
		p.Environment = map[string]string{"B%": "1 ;2", "A": "%(ENV_X)s\n \"'"}
		p.Groups = []api.Group{{Name: "g", Priority: 3}, {Name: "h", Priority: 999}}
		p.StopAsGroup, p.RedirectStderr, p.Umask = true, true, &mask
		p.Machines, p.ExitCodes = []string{"zone=50%", "m1"}, nil
	})
	got := written(t, web, program("api", func(p *api.Program) { p.Groups = []api.Group{{Name: "g", Priority: 3}} }))
	want := `[program:api]
command=cat

[program:web]
command=a 'x %(here).0s;y'
machines=zone=50%%,m1
exitcodes=
stopasgroup=true
directory=/tmp/50%% %(here).0s;off
umask=027
environment=A="%(ENV_X)s""
    "" \"'","B%%"="1 "";2"
redirect_stderr=true

[group:g]
programs=api,web
priority=3

[group:h]
programs=web
`
	if got != want {
		t.Errorf("wrote\n%s\nwant\n%s", got, want)
	}
}

func TestWriteRefusesWhatAFileCannotHold(t *testing.T) {
	for name, programs := range map[string][]api.Program{
		"a carriage return": {program("a", func(p *api.Program) { p.Command = "a\rb" })},
		"a carriage return in the environment": {program("a", func(p *api.Program) {
			p.Environment = map[string]string{"A": "\r"}
		})},
		"a priority twice": {
			program("a", func(p *api.Program) { p.Groups = []api.Group{{Name: "g", Priority: 1}} }),
			program("b", func(p *api.Program) { p.Groups = []api.Group{{Name: "g", Priority: 2}} }),
		},
		"a comma in a member's name": {program("a,b", func(p *api.Program) { p.Groups = []api.Group{{Name: "g"}} })},
	} {
		var b strings.Builder
		if err := Write(&b, programs...); err == nil || b.Len() > 0 {
			t.Errorf("%s: error %v, written %q", name, err, b.String())
		}
	}
}

// anyText draws texts of the pieces that the grammar has an opinion about.
func anyText(t *rapid.T, label string, pieces ...string) string {
	all := append([]string{"a", "/b", " ", "  ", "\n", "\t", ";", "#", " ;", " #", "%%", `"`, "'", `\`, "=", ":", "[x]", ",", "ü", "\u00a0", "\x1c", "\u2028"}, pieces...)
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(all), 0, 8).Draw(t, label), "")
}

func template(t *rapid.T, label string) string {
	return anyText(t, label, "%(ENV_X)s", "%(host_node_name)-9s", "%(program_name)s", "%(process_num)02d")
}

func anyProgram(t *rapid.T, name string, groups []api.Group) api.Program {
	p := Defaults()
	p.Name, p.Source = name, "file"
	p.Command = "x" + template(t, "command")
	p.Directory, p.User = template(t, "directory"), template(t, "user")
	p.ProcessName = rapid.SampledFrom([]string{"%(program_name)s", "p%(process_num)d", "%%;#", "%(group_name)s%(process_num)x"}).Draw(t, "process_name")
	p.Numprocs = rapid.IntRange(0, 3).Draw(t, "numprocs")
	p.NumprocsStart = rapid.IntRange(-3, 3).Draw(t, "numprocs_start")
	for i, n := 0, rapid.IntRange(0, 3).Draw(t, "variables"); i < n; i++ {
		if p.Environment == nil {
			p.Environment = map[string]string{}
		}
		p.Environment["V"+strings.ReplaceAll(anyText(t, "name", "%"), "=", "")] = template(t, "value")
	}
	p.Stdout.File, p.Stderr.File = template(t, "stdout"), rapid.SampledFrom([]string{"none", "AUTO", "/x"}).Draw(t, "stderr")
	p.Stdout.MaxBytes = rapid.Int64Range(0, 1<<40).Draw(t, "maxbytes")
	p.ServerURL = anyText(t, "serverurl", "%")
	for _, b := range []*bool{&p.Stdout.Syslog, &p.Stderr.Syslog, &p.StripANSI, &p.Shell, &p.Autostart, &p.StopAsGroup, &p.KillAsGroup, &p.LeaveChildren, &p.RedirectStderr} {
		*b = rapid.Bool().Draw(t, "bool")
	}
	for _, n := range []*int{&p.Priority, &p.StartSecs, &p.StartRetries, &p.StopWaitSecs, &p.MaxFailCount, &p.Stdout.Backups} {
		*n = rapid.IntRange(0, 1<<31-1).Draw(t, "number")
	}
	p.TouchTimeout = rapid.IntRange(2, 100).Draw(t, "touch_timeout")
	p.Machines = rapid.SliceOfN(rapid.SampledFrom([]string{"m1", "zone=a ;b", "x=%%", "k=", "10.0.0.1", "#m"}), 0, 3).Draw(t, "machines")
	p.ExitCodes = rapid.SliceOfN(rapid.IntRange(0, 255), 0, 3).Draw(t, "exitcodes")
	p.StopSignal = rapid.SampledFrom([]string{"TERM", "SIGINT", "9", "RTMAX"}).Draw(t, "stopsignal")
	p.Autorestart = rapid.SampledFrom([]api.Autorestart{"true", "false", "unexpected"}).Draw(t, "autorestart")
	p.OnStoreOutage = rapid.SampledFrom([]api.OnStoreOutage{"", "hold", "stop"}).Draw(t, "on_store_outage")
	p.OnPartition = rapid.SampledFrom([]api.OnPartition{"", "stop", "keep"}).Draw(t, "on_partition")
	if rapid.Bool().Draw(t, "has umask") {
		mask := rapid.IntRange(0, 0o7777).Draw(t, "umask")
		p.Umask = &mask
	}
	for _, g := range groups {
		if rapid.Bool().Draw(t, "member") {
			p.Groups = append(p.Groups, g)
		}
	}
	return Normalize(p)
}

// TestWhatIsWrittenReadsBackTheSame holds for every valid program.
func TestWhatIsWrittenReadsBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := []api.Group{
			{Name: rapid.SampledFrom([]string{"g", "g%;", "[g"}).Draw(t, "group"), Priority: rapid.IntRange(-9, 1000).Draw(t, "priority")},
			{Name: "h", Priority: 999},
		}
		var programs []api.Program
		for _, name := range []string{rapid.SampledFrom([]string{"a", "a%(here)s", "a;#="}).Draw(t, "name"), "b"} {
			if p := anyProgram(t, name, groups); Validate(p) == nil {
				programs = append(programs, p)
			}
		}
		if Conflict(programs) != nil {
			programs = programs[:1]
		}
		var b strings.Builder
		if err := Write(&b, programs...); err != nil {
			t.Fatal(err)
		}
		f, err := ini.Parse("/etc/distsuper.ini", b.String())
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		r, err := Read(f, Options{LocalMachine: "m1"})
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		if len(programs) == 0 {
			t.Skip("nothing was valid")
		}
		if !reflect.DeepEqual(r.Programs, programs) {
			t.Fatalf("wrote\n%+v\nread\n%+v\ntext\n%s", programs, r.Programs, b.String())
		}
	})
}
