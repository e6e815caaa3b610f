package contain

import (
	"os/exec"
	"testing"
)

// What has just execed has no environment yet, for a moment; who looks then must not take it for a stranger.
func TestMarksOfAProcessAreReadInTheMomentOfItsExec(t *testing.T) {
	for range 300 {
		cmd := exec.Command("sleep", "1000")
		cmd.Env = []string{envKeeper + "=k", envProcess + "=p", envToken + "=7"}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		m := MarkOf(cmd.Process.Pid)
		cmd.Process.Kill()
		cmd.Wait()
		if m != (Mark{"k", "p", "7"}) {
			t.Fatalf("it carries %+v", m)
		}
	}
}
