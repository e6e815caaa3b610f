//go:build linux

package daemon

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestAKilledProcessIsEndingUntilItIsGone(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if isEnding(os.Getpid()) {
		t.Error("what lives is not ending")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); !isEnding(cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it was killed, and nobody has waited for it")
		}
	}
	_ = cmd.Wait() // it was killed
	if isEnding(cmd.Process.Pid) {
		t.Error("it is gone")
	}
}
