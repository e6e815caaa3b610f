package spec_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

// TestTheSampleConfigurationIsRead reads what init config writes: as it is, and with what it has in comments.
func TestTheSampleConfigurationIsRead(t *testing.T) {
	sample := config.Template()
	_, programs, _ := strings.Cut(sample, "[program:test]")
	all := "[program:test]" + regexp.MustCompile(`(?m)^;([a-z\[])`).ReplaceAllString(programs, "$1")
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"as it is", sample, []string{"test"}},
		{"uncommented", all, []string{"test", "worker"}},
	} {
		f, err := ini.Parse("/etc/distsuper.ini", c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		r, err := spec.Read(f, spec.Options{Strict: true})
		if err != nil || len(r.Warnings) > 0 || len(r.Programs) != len(c.want) {
			t.Fatalf("%s: programs %v, warnings %v, error %v", c.name, r.Programs, r.Warnings, err)
		}
		for i, p := range r.Programs {
			if p.Name != c.want[i] {
				t.Errorf("%s: program %s, want %s", c.name, p.Name, c.want[i])
			}
		}
	}
}
