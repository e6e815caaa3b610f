package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

func TestStripANSIOfSupervisordCountsForTheProgramsOfItsFile(t *testing.T) {
	const programs = "[program:a]\ncommand=x\n[program:own]\ncommand=x\nstrip_ansi=false\n[program:set]\ncommand=x\nstrip_ansi=true\n"
	for _, c := range []struct {
		name, above string
		flag        bool
		want        string
	}{
		{"on", "[supervisord]\nstrip_ansi = yes\n", false, "a own:false set"},
		{"off", "[supervisord]\nstrip_ansi = no\n", false, "a:false own:false set"},
		{"not written", "[supervisord]\n", false, "a:false own:false set"},
		{"no section", "", false, "a:false own:false set"},
		{"the flag", "[supervisord]\nstrip_ansi = no\n", true, "a own:false set"},
		{"expanded", "[supervisord]\nstrip_ansi = %(ENV_N)s\n", false, `fault "3"`},
	} {
		o := world
		o.StripANSI = c.flag
		r, err := readText(t, c.above+programs, o)
		var got []string
		for _, p := range r.Programs {
			if !p.StripANSI {
				p.Name += ":false"
			}
			got = append(got, p.Name)
		}
		want := strings.Fields(c.want)
		if fault, ok := strings.CutPrefix(c.want, "fault "); ok {
			if want = nil; err == nil || !strings.Contains(err.Error(), ":2: [supervisord] strip_ansi: ") || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: error %v", c.name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: programs %v, want %v", c.name, got, want)
		}
	}
}

func TestWhatSupervisordGivesToAProgramIsExplained(t *testing.T) {
	f, err := ini.Parse("/etc/x.ini", "[supervisord]\nenvironment = A=\"1\"\nstrip_ansi = on\n[program:web]\ncommand = x\n[program:own]\ncommand = x\nstrip_ansi = off\n")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(f, world)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"environment:2 supervisord A; strip_ansi:8  false", "environment:2 supervisord A; strip_ansi:3 supervisord true"} {
		var got []string
		for _, fact := range Explain(f, "program", r.Programs[i])[1:] {
			got = append(got, fmt.Sprintf("%s:%d %s %s", fact.Key, fact.Line, fact.From, fact.Value))
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s: %s, want %s", r.Programs[i].Name, text, want)
		}
	}
}

func TestSyslogRestartsAProcessOnlyWhereItHadNothingToWriteTo(t *testing.T) {
	for _, c := range []struct {
		file     string
		redirect bool
		restarts bool
	}{{"AUTO", false, false}, {"/x", false, false}, {"NONE", false, true}, {"NONE", true, false}} {
		of := func(syslog bool) string {
			p := program("web", func(p *api.Program) {
				p.Stderr.File, p.Stderr.Syslog, p.RedirectStderr = c.file, syslog, c.redirect
			})
			processes, err := Processes(Normalize(p))
			if err != nil {
				t.Fatal(err)
			}
			return Fingerprint(processes[0])
		}
		if differs := of(true) != of(false); differs != c.restarts {
			t.Errorf("%+v: the fingerprint differs: %v", c, differs)
		}
	}
}
