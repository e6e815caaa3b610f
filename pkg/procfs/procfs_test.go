package procfs

import (
	"strings"
	"testing"
)

func TestStatParserTakesAnyName(t *testing.T) {
	memory := strings.Repeat(" 1", 30) // where its parts are
	for _, c := range []struct {
		line string
		want Stat
		ok   bool
	}{
		{"12 (a b) S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777" + memory, Stat{PID: 12, Parent: 3, Group: 4, Session: 5, state: 'S', Start: 777}, true},
		{"12 (a) R 9 (b) Z 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777" + memory, Stat{PID: 12, Parent: 3, Group: 4, Session: 5, state: 'Z', Start: 777}, true},
		{"12 (a) S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777" + strings.Repeat(" 0", 30), Stat{PID: 12, Parent: 3, Group: 4, Session: 5, state: 'S', Start: 777, execing: true}, true},
		{"12 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7" + strings.Repeat(" 0", 30), Stat{PID: 12, state: 'S', Start: 7, kernel: true, execing: true}, true},
		{"12 (a) S 3 4", Stat{}, false},
		{"", Stat{}, false},
	} {
		if got, ok := parseStat([]byte(c.line)); ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %+v %v", c.line, got, ok)
		}
	}
}
