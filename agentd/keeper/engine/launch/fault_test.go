package launch

import (
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
)

// What every start needs and the machine lacks is its own fault; what may be a limit of the program's user is not.
func TestAStartThatFailsForWantOfWhatTheMachineLacksIsTheMachinesFault(t *testing.T) {
	plain, other := &Plan{Name: "x"}, &Plan{Name: "x", Credential: &syscall.Credential{Uid: 1}}
	for _, c := range []struct {
		plan  *Plan
		errno syscall.Errno
		want  api.Fault
	}{
		{plain, unix.EMFILE, api.FaultMachine},
		{plain, unix.ENFILE, api.FaultMachine},
		{plain, unix.ENOMEM, api.FaultMachine},
		{plain, unix.ENOSPC, api.FaultMachine},
		{plain, unix.EAGAIN, api.FaultMachine},
		{other, unix.EAGAIN, api.FaultSpawn},
		{other, unix.EMFILE, api.FaultMachine},
	} {
		if got, ok := c.plan.ForkFailed(c.errno); !ok || got.Fault != c.want || got.Refused {
			t.Errorf("%v: %+v, want %s", c.errno, got, c.want)
		}
	}
	if _, ok := plain.ForkFailed(unix.ENOENT); ok {
		t.Error("a file that is not there is no failure of the fork")
	}
	for errno, want := range map[syscall.Errno]api.Fault{unix.EIO: api.FaultMachine, unix.EROFS: api.FaultMachine, unix.ENOENT: api.FaultSpawn} {
		err := fmt.Errorf("read the users: %w", &fs.PathError{Op: "open", Path: "/etc/passwd", Err: errno})
		if got := FaultOf(err); got != want {
			t.Errorf("%v: %s, want %s", errno, got, want)
		}
	}
}
