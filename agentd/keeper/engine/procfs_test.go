package engine

import (
	"os/exec"
	"strings"
	"testing"
)

func TestStatParserTakesAnyName(t *testing.T) {
	memory := strings.Repeat(" 1", 30) // where its parts are
	for _, c := range []struct {
		line string
		want procInfo
		ok   bool
	}{
		{"12 (a b) S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777" + memory, procInfo{pid: 12, ppid: 3, group: 4, session: 5, state: 'S', start: 777}, true},
		{"12 (a) R 9 (b) Z 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777" + memory, procInfo{pid: 12, ppid: 3, group: 4, session: 5, state: 'Z', start: 777}, true},
		{"12 (a) S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777" + strings.Repeat(" 0", 30), procInfo{pid: 12, ppid: 3, group: 4, session: 5, state: 'S', start: 777, execing: true}, true},
		{"12 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7" + strings.Repeat(" 0", 30), procInfo{pid: 12, state: 'S', start: 7, kernel: true, execing: true}, true},
		{"12 (a) S 3 4", procInfo{}, false},
		{"", procInfo{}, false},
	} {
		if got, ok := parseStat([]byte(c.line)); ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %+v %v", c.line, got, ok)
		}
	}
}

// What has just execed has no environment yet, for a moment; who looks then must not take it for a stranger.
func TestMarksOfAProcessAreReadInTheMomentOfItsExec(t *testing.T) {
	for range 300 {
		cmd := exec.Command("sleep", "1000")
		cmd.Env = []string{envKeeper + "=k", envProcess + "=p", envToken + "=7"}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		m := markIn(marks(cmd.Process.Pid))
		cmd.Process.Kill()
		cmd.Wait()
		if m != (mark{"k", "p", "7"}) {
			t.Fatalf("it carries %+v", m)
		}
	}
}
