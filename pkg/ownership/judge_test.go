package ownership

import (
	"io/fs"
	"strings"
	"testing"
)

func TestWhoHasASay(t *testing.T) {
	const dir, link, sticky = fs.ModeDir, fs.ModeSymlink, fs.ModeDir | fs.ModeSticky
	for _, c := range []struct {
		name     string
		mode     fs.FileMode
		uid, gid int
		euid     int
		want     string
	}{
		{"root's file for root", 0o644, 0, 0, 0, ""},
		{"root's group may write it", 0o664, 0, 0, 0, ""},
		{"a group may read it", 0o640, 0, 1000, 0, ""},
		{"a group may write it", 0o664, 0, 1000, 0, "may be written by group 1000"},
		{"a user's own group may write it", 0o664, 1000, 1000, 1000, ""},
		{"everybody may write it", 0o666, 0, 0, 0, "may be written by everybody"},
		{"everybody may write a user's", 0o666, 1000, 1000, 1000, "may be written by everybody"},
		{"a user's for root", 0o600, 1000, 0, 0, "belongs to uid 1000"},
		{"root's for a user", 0o644, 0, 0, 1000, ""},
		{"another user's for a user", 0o600, 1001, 0, 1000, "belongs to uid 1001"},
		{"/tmp", sticky | 0o777, 0, 0, 0, ""},
		{"a sticky directory of another user", sticky | 0o777, 1000, 0, 0, "belongs to uid 1000"},
		{"a directory that everybody may write", dir | 0o777, 0, 0, 0, "may be written by everybody"},
		{"a sticky file is none", fs.ModeSticky | 0o666, 0, 0, 0, "may be written by everybody"},
		{"root's link", link | 0o777, 0, 0, 0, ""},
		{"a user's link", link | 0o777, 1000, 0, 0, "belongs to uid 1000"},
	} {
		err := judge(entry{path: "/x", mode: c.mode, uid: c.uid, gid: c.gid}, c.euid)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "/x "+c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
