package contain

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/gate"
)

func TestSearchFindsWhatCarriesTheMarkOfAKeeper(t *testing.T) {
	gate.Root(t)
	instance := fmt.Sprint("test-search-", os.Getpid())
	if err := noneMarked(instance); err != nil {
		t.Errorf("with nothing there: %v", err)
	}
	pid := marked(t, instance)
	if err := noneMarked(instance); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d,", pid)) {
		t.Errorf("with the process %d: %v", pid, err)
	}
	if err := noneMarked(instance[:len(instance)-1]); err != nil {
		t.Errorf("of another keeper: %v", err)
	}
}

func TestSearchFindsWhatIsLeftInTheCgroupOfAKeeper(t *testing.T) {
	c := testCage(t)
	instance := strings.TrimPrefix(c.all.base[strings.LastIndex(c.all.base, cgroupPrefix):], cgroupPrefix)
	if err := noneCaged(instance); err != nil {
		gate.Cannot(t, "not all cgroups are seen here: %v", err)
	}
	fill(t, c)
	defer c.Kill(0)
	if err := noneCaged(instance); err == nil || !strings.Contains(err.Error(), c.all.base) {
		t.Errorf("with a family in it: %v", err)
	}
}
