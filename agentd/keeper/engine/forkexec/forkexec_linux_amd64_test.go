//go:build !race

package forkexec

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAChildHasItsFourDescriptorsAndNoOther(t *testing.T) {
	s := starter(t)
	high, err := unix.FcntlInt(0, unix.F_DUPFD, s.end+100) // not closed on exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(high)
	f := func(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
		pid, _, err := s.ForkExec(path, argv, attr)
		return pid, err
	}
	out, _ := printed(t, f, "cd /proc/self/fd && echo *", syscall.ProcAttr{})
	for field := range strings.FieldsSeq(out) {
		if n, err := strconv.Atoi(field); err != nil || n > 3 && n >= s.end {
			t.Errorf("the child has the descriptors %q", out)
		}
	}
	for _, fd := range s.low {
		var ours, null unix.Stat_t
		if unix.Fstat(fd, &ours) != nil || unix.Stat(os.DevNull, &null) != nil || ours.Rdev != null.Rdev {
			t.Errorf("descriptor %d is not /dev/null again", fd)
		}
	}
}
