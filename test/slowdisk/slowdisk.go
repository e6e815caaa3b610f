// Package slowdisk makes the disk of a process slow: each of its fsyncs takes as long as a test says, and the test may change that
// while the process runs.
//
// Every filesystem can be made slow in this way, and no rights are needed for it: the kernel tells us of each fsync and fdatasync of the
// process, and holds it until we answer (seccomp's user notification, Linux 5.19).
package slowdisk

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Disk is slow for all processes that were started on it, and their children. The zero value is as fast as the real one.
type Disk struct{ delay atomic.Int64 }

// Delay is how long each fsync takes longer from now on; 0 is no longer.
func (d *Disk) Delay(by time.Duration) { d.delay.Store(int64(by)) }

// Start is cmd.Start. The caller waits for the command's end. A command whose death signal comes with its parent's death is not
// killed before.
func (d *Disk) Start(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		// The filter is this thread's, and goes to its children. Nobody else may have the thread; it ends with this goroutine.
		runtime.LockOSThread()
		listener, err := filter()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			d.serve(listener, func() bool { return cmd.Process.Signal(syscall.Signal(0)) == nil })
		}
		if listener >= 0 {
			unix.Close(listener)
		}
	}()
	return <-started
}

// filter has the kernel ask about each fsync of this thread and of its children to come.
func filter() (listener int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, fmt.Errorf("slow disk: %w", err)
	}
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	// Signals do not end the wait for the answer but kill: a runtime that signals its threads would begin it again and again.
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return -1, fmt.Errorf("slow disk: filter system calls: %w", errno)
	}
	return int(fd), nil
}

// notification is the kernel's struct seccomp_notif, answer its struct seccomp_notif_resp.
type (
	notification struct {
		id         uint64
		pid, flags uint32
		call       struct {
			number  int32
			arch    uint32
			pointer uint64
			args    [6]uint64
		}
	}
	answer struct {
		id           uint64
		value        int64
		error, flags uint32
	}
)

// serve lets every fsync go on when its time is over, until the process has ended and was waited for.
func (d *Disk) serve(listener int, runs func() bool) {
	var held sync.WaitGroup
	defer held.Wait()
	for {
		// The thread that serves has the filter, too: the kernel does not tell that all others have ended.
		ready := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, 1000); err != nil && err != unix.EINTR {
			return
		}
		if ready[0].Revents&unix.POLLIN == 0 {
			if !runs() {
				return
			}
			continue
		}
		var n notification
		if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err != nil {
			continue // it was killed meanwhile
		}
		held.Add(1)
		time.AfterFunc(time.Duration(d.delay.Load()), func() {
			defer held.Done()
			// Of one that was killed meanwhile nobody waits for the answer.
			_ = ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}))
		})
	}
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
