package guardian

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/pkg/deadline"
)

func TestTheGuardianWaitsForItsDiskWhenNothingIsUrgent(t *testing.T) {
	state := filepath.Join(t.TempDir(), "keeper.json")
	if err := unix.Mkfifo(state, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := newPage()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	g := guardian{Config: Config{State: state}, page: p}
	told := make(chan map[contain.Mark]bool, 1)
	go func() { told <- g.left() }()
	disk, err := os.OpenFile(state, os.O_WRONLY, 0) // returns when it is being read
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if d := stateTimeout(p.deadline()); d != calmTimeout {
		t.Errorf("without a deadline it waits %v for its disk", d)
	}
	if d := stateTimeout(deadline.Deadline{Boot: 1, Raw: 1}); d != urgentTimeout {
		t.Errorf("before a deadline it waits %v for its disk", d)
	}
	fmt.Fprint(disk, `{"left":[{"keeper":"k","process":"p","token":"7"}]}`)
	disk.Close()
	if left := <-told; !left[contain.NewMark("k", "p", 7)] {
		t.Errorf("it spares %v", left)
	}
}
