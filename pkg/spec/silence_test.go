package spec

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/ini"
)

func TestAShortTouchTimeoutIsWarnedOfWhereItMatters(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		alone       bool
		want        string
	}{
		{"4", "touch_timeout = 4\n", false, "at most 2.5s"},
		{"the default", "", false, ""},
		{"kept through a silence", "touch_timeout = 2\non_partition = keep\n", false, ""},
		{"a machine that is alone", "touch_timeout = 2\n", true, ""},
	} {
		f, err := ini.Parse("/etc/distsuper.ini", "[program:a]\ncommand = /bin/true\n"+c.lines)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Read(f, Options{LocalMachine: "m1", Alone: c.alone})
		if err != nil {
			t.Fatal(err)
		}
		var warnings []string
		for _, w := range r.Warnings {
			if strings.Contains(w.String(), "touch_timeout") {
				warnings = append(warnings, w.String())
			}
		}
		if got := strings.Join(warnings, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
