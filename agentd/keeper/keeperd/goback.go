package keeperd

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
)

// envWentBack says why the binary that was executed in between could not go on.
const envWentBack = "DISTSUPER_HANDOVER_FAILED"

// longestReason is how much of that is told.
const longestReason = 2000

// wayBack is what it takes to have the binary before go on after all, until this one has begun: to read output, to reap, to answer. Up to then
// nothing of the state is changed, and children stay children.
type wayBack struct {
	handover *os.File
	binary   int         // descriptor of the binary before; 0 where that has not left one, or there is no way back any more
	spares   map[int]int // of each descriptor that was handed over, a copy: this binary may have closed it
}

// prepare copies descriptors. Where that fails nothing has happened to them yet.
func (w *wayBack) prepare(descriptors []int) error {
	w.spares = map[int]int{}
	if w.binary == 0 {
		return nil
	}
	for _, fd := range descriptors {
		spare, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			w.forget()
			return fmt.Errorf("copy the descriptor %d that was handed over: %w", fd, err)
		}
		w.spares[fd] = spare
	}
	return nil
}

// take executes the binary before. It returns only when that fails, or cannot be. It runs on the main thread.
func (w *wayBack) take(why error) error {
	if w.binary == 0 {
		return errors.New("there is no binary that could go on")
	}
	for fd, spare := range w.spares {
		if err := unix.Dup3(spare, fd, 0); err != nil {
			return fmt.Errorf("give the descriptor %d back: %w", fd, err)
		}
	}
	fd := int(w.handover.Fd())
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return fmt.Errorf("give the state back: %w", err)
	}
	if err := self.KeepOnExec([]int{fd}, true); err != nil {
		return err
	}
	reason := why.Error()
	env := append(os.Environ(), fmt.Sprintf("%s=%d", envHandover, fd), envWentBack+"="+reason[:min(len(reason), longestReason)])
	return self.Exec(fmt.Sprintf("/proc/self/fd/%d", w.binary), os.Args, env)
}

// leave gives the way back up.
func (w *wayBack) leave() {
	w.forget()
	if w.binary != 0 {
		unix.Close(w.binary)
	}
	w.handover.Close()
	w.binary = 0
}

func (w *wayBack) forget() {
	for _, spare := range w.spares {
		unix.Close(spare)
	}
	w.spares = nil
}
