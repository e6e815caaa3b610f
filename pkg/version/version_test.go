package version

import "testing"

func TestVersionIsTheBuildsElseTheCommit(t *testing.T) {
	commit := map[string]string{"vcs.revision": "0123456789abcdef"}
	for _, c := range []struct {
		set   string
		build map[string]string
		want  string
	}{
		{"1.0.0", commit, "1.0.0"},
		{"", commit, "0123456789ab"},
		{"", map[string]string{"vcs.revision": "0123456789abcdef", "vcs.modified": "true"}, "0123456789ab-dirty"},
		{"", nil, "unknown"},
	} {
		if got := describe(c.set, c.build); got != c.want {
			t.Errorf("set to %q and built from %v it is %q, want %q", c.set, c.build, got, c.want)
		}
	}
}
