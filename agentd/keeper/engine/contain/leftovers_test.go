package contain

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper/engine/procfs"
)

// The store of a keeper that is alone begins at the same revision each time, and so do its tokens.
func TestALaterRunOfTheSameTokenIsNotSparedForWhatAnEarlierOneLeft(t *testing.T) {
	state := filepath.Join(t.TempDir(), "keeper.json")
	if err := os.WriteFile(state, []byte(`{"left":[{"keeper":"k1","process":"p","token":"7"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := ReadState(state)
	if err != nil {
		t.Fatal(err)
	}
	s := Suspects{Instances: map[string]bool{"k1": true, "k2": true}, Spared: data.LeftMarks()}
	for instance, want := range map[string]bool{"k1": false, "k2": true} {
		cmd := exec.Command("sleep", "1000")
		cmd.Env = []string{envKeeper + "=" + instance, envProcess + "=p", envToken + "=7"}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if p, ok := procfs.Read(cmd.Process.Pid); !ok || s.include(p) != want {
			t.Errorf("a process of %s is to be killed: %v, want %v", instance, !want, want)
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
}
