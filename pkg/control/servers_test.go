package control

import (
	"strings"
	"testing"
)

func TestAFleetIsToldOnceWhatTheLossOfItsServersMeans(t *testing.T) {
	two := []int{5, 2, 5}
	for name, c := range map[string]struct {
		of   Servers
		only string
		says []string // of each line, "" for none
	}{
		"a single server": {Servers{Controllers: []string{"d1"}, Votes: 1, Own: true, Timeouts: two}, "d1",
			[]string{"d1 is the only controller, and etcd has no more than 1 vote: if their host is lost, processes stop after 2 to 5 s (touch_timeout); of three servers any one may be lost: distsuperctl init config --join --voter ADDRESS"}},
		"another etcd":                   {Servers{Controllers: []string{"d1"}, Votes: 1, Timeouts: []int{5}}, "d1", []string{"stop after 5 s (touch_timeout); three members of etcd and three distsuperd"}},
		"nothing would stop":             {Servers{Controllers: []string{"d1"}, Votes: 1}, "", nil},
		"nobody has registered":          {Servers{Votes: 1, Timeouts: two}, "", nil},
		"three of each":                  {Servers{Controllers: []string{"d1", "d2", "d3"}, Votes: 3, Own: true, Timeouts: two}, "", nil},
		"three controllers and one etcd": {Servers{Controllers: []string{"d1", "d2", "d3"}, Votes: 1, Timeouts: two}, "", nil},
		"etcd cannot be asked":           {Servers{Controllers: []string{"d1"}, Timeouts: two}, "", nil},
		"a member is lost": {Servers{Controllers: []string{"d1", "d2", "d3"}, Votes: 3, Silent: []string{"https://c:2379"}, Own: true, Timeouts: two}, "",
			[]string{"2 of 3 members of etcd answer, and https://c:2379 does not; if one more is lost, etcd stops: start distsuperd there; a host that is lost for good is replaced after distsuperctl members replace NAME"}},
		"one of five": {Servers{Controllers: []string{"d1", "d2", "d3"}, Votes: 5, Silent: []string{"e"}}, "",
			[]string{"4 of 5 members of etcd answer, and e does not: bring it back"}},
		"a majority is lost, which is an error of its own": {Servers{Controllers: []string{"d1", "d2"}, Votes: 3, Silent: []string{"b", "c"}}, "", nil},
	} {
		lines := c.of.Warnings()
		if c.of.Only() != c.only || len(lines) != len(c.says) {
			t.Errorf("%s: only %q, %q", name, c.of.Only(), lines)
			continue
		}
		for i, want := range c.says {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: it says\n%s\nwant\n%s", name, lines[i], want)
			}
		}
	}
}
