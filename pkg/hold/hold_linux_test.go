package hold

import (
	"fmt"
	"os"
	"testing"
)

func TestANameIsHeldByOneUntilItLetsGo(t *testing.T) {
	name := fmt.Sprint("test-", os.Getpid())
	if pid := By(name); pid != 0 {
		t.Fatalf("%d has it before anybody takes it", pid)
	}
	first, _, err := Take(name)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	if second, pid, err := Take(name); second != nil || pid != os.Getpid() || err != nil {
		t.Errorf("taken again: %v, %d, %v", second, pid, err)
	}
	if pid := By(name); pid != os.Getpid() {
		t.Errorf("%d has it", pid)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	next, _, err := Take(name)
	if err != nil || next == nil {
		t.Fatal("after its end: ", next, err)
	}
	next.Close()
}
