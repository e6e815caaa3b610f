package daemon

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/gate"
)

// The test binary calls itself, so that the nice value of the other tests stays.
func TestTheNiceValueIsThatOfAllThreadsAndInherited(t *testing.T) {
	gate.Root(t)
	const role = "DISTSUPER_TEST_NICE"
	if os.Getenv(role) == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), role+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	before, err := Nice()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is a daemon that begins anew in the same process
		if got, err := Prefer(); got != before || err != nil {
			t.Fatalf("before it was %d (%v), want %d", got, err, before)
		}
	}
	if now, err := Nice(); now != preferred || err != nil {
		t.Errorf("it is %d (%v), was %d", now, err, before)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		stat, err := os.ReadFile("/proc/self/task/" + task.Name() + "/stat")
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); fields[16] != "-10" {
			t.Errorf("thread %s has %s", task.Name(), fields[16])
		}
	}
	if out, err := exec.Command("nice").Output(); strings.TrimSpace(string(out)) != "-10" {
		t.Errorf("a child has %s (%v)", out, err)
	}
	if err := SetNice(before); err != nil {
		t.Fatal(err)
	}
}
