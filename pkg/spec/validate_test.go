package spec

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

func TestValidateNamesTheField(t *testing.T) {
	if err := Validate(program("web")); err != nil {
		t.Fatal(err)
	}
	mask := -1
	for _, c := range []struct {
		field  string
		change func(*api.Program)
		reason string
	}{
		{"name", func(p *api.Program) { p.Name = "a b" }, "may not contain"},
		{"source", func(p *api.Program) { p.Source = "a\tb" }, "is not the name of a source"},
		{"command", func(p *api.Program) { p.Command = " \n" }, "needs a command"},
		{"command", func(p *api.Program) { p.Command = "a\x00" }, "NUL"},
		{"command", func(p *api.Program) { p.Command = "\xff" }, "is not UTF-8"},
		{"command", func(p *api.Program) { p.Command = "%(here)s/x" }, "here is known in files only"},
		{"user", func(p *api.Program) { p.User = "%d" }, "names no variable"},
		{"directory", func(p *api.Program) { p.Directory = "%(" }, "closing parenthesis"},
		{"serverurl", func(p *api.Program) { p.ServerURL = "a\x00" }, "NUL"},
		{"stderr_logfile", func(p *api.Program) { p.Stderr.File = "/a%%" }, "the second time"},
		{"environment", func(p *api.Program) { p.Environment = map[string]string{"": "secret"} }, "cannot be the name of a variable"},
		{"environment", func(p *api.Program) { p.Environment = map[string]string{"A=": "secret"} }, "cannot be the name of a variable"},
		{"environment", func(p *api.Program) { p.Environment = map[string]string{"A": "secret\x00"} }, `"A" has a NUL`},
		{"environment", func(p *api.Program) { p.Environment = map[string]string{"A": "secret%"} }, "percent sign"},
		{"process_name", func(p *api.Program) { p.ProcessName = "%(ENV_X)s" }, "ENV_X"},
		{"process_name", func(p *api.Program) { p.Numprocs = 2 }, "twice"},
		{"numprocs", func(p *api.Program) { p.Numprocs = MaxProcs + 1 }, "too large"},
		{"startsecs", func(p *api.Program) { p.StartSecs = 1 << 40 }, "too large"},
		{"touch_timeout", func(p *api.Program) { p.TouchTimeout = 0 }, "0 is too small"},
		{"max_fail_count", func(p *api.Program) { p.MaxFailCount = -1 }, "too small"},
		{"exitcodes", func(p *api.Program) { p.ExitCodes = []int{0, 256} }, "256 is not an exit code"},
		{"umask", func(p *api.Program) { p.Umask = &mask }, "is not a umask"},
		{"stopsignal", func(p *api.Program) { p.StopSignal = "STOPP" }, "not a signal"},
		{"autorestart", func(p *api.Program) { p.Autorestart = "maybe" }, "not one of"},
		{"on_store_outage", func(p *api.Program) { p.OnStoreOutage = "keep" }, "neither hold nor stop"},
		{"on_partition", func(p *api.Program) { p.OnPartition = "move" }, "neither stop nor keep"},
		{"machines", func(p *api.Program) { p.Machines = []string{"a", "localhost"} }, "write the machine's name"},
		{"machines", func(p *api.Program) { p.Machines = []string{""} }, "is not a name"},
		{"machines", func(p *api.Program) { p.Machines = []string{"a,b"} }, "is not a name"},
		{"groups", func(p *api.Program) { p.Groups = []api.Group{{Name: "a:b"}} }, "may not contain"},
		{"groups", func(p *api.Program) { p.Groups = []api.Group{{Name: "g"}, {Name: "g"}} }, "named twice"},
		{"groups", func(p *api.Program) { p.Groups = []api.Group{{Name: "g", Priority: 1 << 40}} }, "out of range"},
	} {
		err := Validate(program("web", c.change))
		var field *FieldError
		if !errors.As(err, &field) || field.Field != c.field || !strings.Contains(field.Reason, c.reason) {
			t.Errorf("%s: error %v, want one with %q", c.field, err, c.reason)
			continue
		}
		if want := c.field + ": " + field.Reason; err.Error() != want || strings.Contains(want, "secret") {
			t.Errorf("%s: text %q, want %q without values of the environment", c.field, err, want)
		}
	}
}

func TestNormalizeMakesEqualProgramsEqual(t *testing.T) {
	mask := 0o22
	a := api.Program{Name: "a", Groups: []api.Group{{Name: "h"}, {Name: "g"}}, Machines: []string{" m2", "zone = x", "m2"},
		Settings: api.Settings{Command: "c", StopSignal: "sigint", ExitCodes: []int{2, 0, 2}, Environment: map[string]string{}, StopAsGroup: true,
			RedirectStderr: true, Umask: &mask, StartSecs: -1, Stdout: api.Log{File: "off", MaxBytes: -1, Backups: -1}}}
	n := Normalize(a)
	want := api.Program{Name: "a", Source: "api", ProcessName: "%(program_name)s", Groups: []api.Group{{Name: "g"}, {Name: "h"}}, Machines: []string{"m2", "zone=x"},
		Settings: api.Settings{Command: "c", StopSignal: "INT", Autorestart: "unexpected", ExitCodes: []int{0, 2}, StopAsGroup: true, KillAsGroup: true,
			RedirectStderr: true, Umask: &mask, Stdout: api.Log{File: "NONE"}, Stderr: api.Log{File: "NONE"}}}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("normalized %+v\nwant %+v", n, want)
	}
	if again := Normalize(n); !reflect.DeepEqual(again, n) {
		t.Errorf("normalized again %+v", again)
	}
	if a.Groups[0].Name != "h" || a.ExitCodes[0] != 2 || a.Machines[0] != " m2" {
		t.Errorf("the argument was changed: %+v", a)
	}
}

// TestTheStoreKeepsTheNormalForm: what comes back from JSON compares equal, so a repeated load changes nothing.
func TestTheStoreKeepsTheNormalForm(t *testing.T) {
	for _, p := range []api.Program{program("a"), program("b", func(p *api.Program) {
		p.ExitCodes, p.Environment, p.Machines = nil, map[string]string{"A": "1"}, []string{"m"}
	})} {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back api.Program
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, p) {
			t.Errorf("stored %+v\nread %+v", p, back)
		}
	}
}

func TestValidateTellsTheFirstFieldAndOnlyOnce(t *testing.T) {
	p := program("web", func(p *api.Program) {
		p.StopSignal, p.TouchTimeout, p.Command = "NO", 1, "%(a)s \x00"
		p.Machines = []string{"", "a b"}
	})
	var fields []string
	for _, e := range problems(p) {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != "command machines stopsignal touch_timeout" {
		t.Errorf("problems of %s", got)
	}
	var field *FieldError
	if err := Validate(p); !errors.As(err, &field) || field.Field != "command" {
		t.Errorf("error %v, want that of command", err)
	}
	var unknown *ini.UnknownNameError
	if _, err := Processes(program("web", func(p *api.Program) { p.ProcessName = "%(ENV_X)s" })); !errors.As(err, &unknown) || unknown.Name != "ENV_X" {
		t.Errorf("error %v does not tell its cause", err)
	}
}
