//go:build !race

package forkexec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Patience is how long a start waits for an exec that waits for something itself, such as a file on a dead NFS server: then
// that goes on alone. While one does, others are waited for a tenth of it, and for the processor ten times as long.
const Patience = 100 * time.Millisecond

// Starter starts programs. Its methods belong to one goroutine, locked to its thread.
type Starter struct {
	// Late, when set, is called by a goroutine of its own for a child that was not waited for: when it runs its program at
	// last or was killed, and with an error when that could not be run.
	Late func(pid int, err error)
	// Nice is the nice value of the programs; 0 leaves them what they are born with.
	Nice int

	stack []byte         // of the next child, until it execs; nil before it is needed
	alone atomic.Int32   // how many children are not waited for any more
	late  sync.WaitGroup // of the goroutines that keep what those use
	null  int
	low   [4]int // where the child finds its descriptors; they hold null between two starts
	end   int    // the child has no descriptor from here on
	// noFile is the limit of open files that programs get.
	noFile unix.Rlimit
}

// none are no descriptors.
var none = [4]int{-1, -1, -1, -1}

// New makes a Starter whose programs get a limit of open files. The error says why this system cannot have one.
func New(noFile unix.Rlimit) (*Starter, error) {
	s := &Starter{null: -1, low: none, noFile: noFile}
	if err := s.reserve(); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.probe(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// reserve takes low descriptors for good.
func (s *Starter) reserve() (err error) {
	if s.null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open /dev/null for the programs to be started: %w", err)
	}
	for i := range s.low {
		if s.low[i], err = unix.FcntlInt(uintptr(s.null), unix.F_DUPFD_CLOEXEC, len(s.low)); err != nil {
			return fmt.Errorf("reserve a descriptor for the programs to be started: %w", err)
		}
		s.end = max(s.end, s.low[i]+1)
	}
	return nil
}

// probe finds out whether the kernel, and who filters its calls, let a child be made in this way.
func (s *Starter) probe() error {
	pid, _, err := s.ForkExec("/", []string{"/"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2, 2}, Sys: &syscall.SysProcAttr{}})
	switch {
	case err == nil: // a directory was executed: whatever that is, nobody wants it
		unix.Kill(pid, unix.SIGKILL)
		reap(pid)
		return errors.New("make a child that shares its parent's descriptors: it did not behave as Linux does")
	case err != syscall.EACCES:
		return fmt.Errorf("make a child that shares its parent's descriptors, which needs Linux 5.9 and no filter of system calls against it: %w", err)
	}
	return nil
}

// Close frees what New took. It waits for the children that were not waited for: until each has execed or ended.
func (s *Starter) Close() {
	s.late.Wait()
	for _, fd := range append(s.low[:], s.null) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	s.null, s.low = -1, none
	if s.stack != nil {
		unix.Munmap(s.stack)
		s.stack = nil
	}
}

// cloneArgs is struct clone_args of <linux/sched.h>, up to cgroup.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// child is all that a child needs, in memory that it shares with its parent until it execs.
type child struct {
	clone  cloneArgs
	stack  []byte
	shares int32         // not 0 until it has execed or ended: a futex, which the kernel sets and wakes
	apart  int32         // 1 once its descriptors are its own
	errno  syscall.Errno // why it could not exec; 0 when it did
	pidfd  int32
	parent uintptr

	path, dir      *byte
	argv, env      **byte
	low            [4]uintptr
	end            uintptr
	setpgid        bool
	deathSignal    uintptr
	switches       bool // to another user
	setsGroups     bool
	uid, gid       uintptr
	groups         *uint32
	groupCount     uintptr
	noFile         unix.Rlimit
	nice           int
	mask, everyone uint64 // signal masks: of the thread, and one of all signals
}

// ForkExec is syscall.ForkExec for what the keeper asks of it: four Files, and of Sys Setpgid with no Pgid, Pdeathsig,
// Credential, PidFD, UseCgroupFD. Anything else is an error. The set-up has the same order and fails with the
// same errors. When PidFD is wanted it is always set.
//
// An exec that takes longer than Patience is not waited for: execed is false then, the child runs the program once that
// is to be had, and ends with status 127 when it is not.
func (s *Starter) ForkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, execed bool, err error) {
	c, err := s.prepare(path, argv, attr)
	if err != nil {
		return 0, false, err
	}
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	defer s.clear()
	for i, fd := range attr.Files {
		if err := unix.Dup3(int(fd), s.low[i], unix.O_CLOEXEC); err != nil {
			return 0, false, err
		}
	}
	made, errno := c.start()
	if errno != 0 {
		return 0, false, errno
	}
	if execed = c.await(int(made), s.patience()); !execed {
		s.stack = nil // it is the child's
		s.alone.Add(1)
		s.late.Go(func() { s.outlast(int(made), c) })
	}
	if execed && c.errno != 0 {
		reap(int(made))
		if c.pidfd >= 0 {
			unix.Close(int(c.pidfd))
		}
		return 0, false, c.errno
	}
	if attr.Sys.PidFD != nil {
		*attr.Sys.PidFD = int(c.pidfd)
	}
	return int(made), execed, nil
}

func (s *Starter) patience() time.Duration {
	if s.alone.Load() > 0 {
		return Patience / 10
	}
	return Patience
}

// await waits until the child has execed or ended, which is true, or the time is over. In any case its
// descriptors are its own then: that takes it no longer than to get the processor.
func (c *child) await(pid int, patience time.Duration) bool {
	for begin := time.Now(); ; {
		shares := atomic.LoadInt32(&c.shares)
		if shares == 0 {
			return true
		}
		left := patience - time.Since(begin)
		if left <= 0 && atomic.LoadInt32(&c.apart) != 0 && (-left > 9*patience || !runs(pid)) {
			return false
		}
		if left <= 0 {
			left = time.Millisecond
		}
		c.sleep(shares, left)
	}
}

// runs reports whether a process has the processor, or waits for it alone.
func runs(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	name := bytes.LastIndexByte(stat, ')')
	return err == nil && name >= 0 && bytes.HasPrefix(stat[name:], []byte(") R"))
}

// outlast keeps what the child uses until it has execed or ended.
func (s *Starter) outlast(pid int, c *child) {
	for shares := int32(1); shares != 0; shares = atomic.LoadInt32(&c.shares) {
		c.sleep(shares, time.Hour)
	}
	unix.Munmap(c.stack)
	s.alone.Add(-1)
	switch {
	case s.Late == nil:
	case c.errno != 0:
		s.Late(pid, c.errno)
	default:
		s.Late(pid, nil)
	}
}

// sleep waits at the futex, which is no private one: the kernel's wake is not.
func (c *child) sleep(while int32, most time.Duration) {
	limit := unix.NsecToTimespec(int64(most))
	const futexWait = 0
	syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&c.shares)), futexWait, uintptr(while), uintptr(unsafe.Pointer(&limit)), 0, 0)
}

// clear drops the child's ends, which would else be held open here.
func (s *Starter) clear() {
	for _, fd := range s.low {
		unix.Dup3(s.null, fd, unix.O_CLOEXEC)
	}
}

func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// prepare gathers what the child needs, on the heap: a stack could move.
func (s *Starter) prepare(path string, argv []string, attr *syscall.ProcAttr) (c *child, err error) {
	sys := attr.Sys
	if len(attr.Files) != len(s.low) || !known(sys) {
		return nil, errors.New("forkexec: an attribute is not known here")
	}
	c = &child{pidfd: -1, shares: 1, parent: uintptr(unix.Getpid()), end: uintptr(s.end), setpgid: sys.Setpgid,
		deathSignal: uintptr(sys.Pdeathsig), noFile: s.noFile, nice: s.Nice, everyone: ^uint64(0)}
	if s.stack == nil {
		s.stack, err = unix.Mmap(-1, 0, stackSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_STACK)
		if err != nil {
			return nil, err
		}
	}
	c.stack = s.stack
	c.clone = cloneArgs{flags: unix.CLONE_VM | unix.CLONE_FILES | unix.CLONE_CLEAR_SIGHAND | unix.CLONE_CHILD_CLEARTID, exitSignal: uint64(unix.SIGCHLD),
		childTID: uint64(uintptr(unsafe.Pointer(&c.shares))), stack: uint64(uintptr(unsafe.Pointer(&c.stack[0]))), stackSize: uint64(len(c.stack))}
	if sys.PidFD != nil {
		c.clone.flags |= unix.CLONE_PIDFD
		c.clone.pidfd = uint64(uintptr(unsafe.Pointer(&c.pidfd)))
	}
	if sys.UseCgroupFD {
		c.clone.flags |= unix.CLONE_INTO_CGROUP
		c.clone.cgroup = uint64(sys.CgroupFD)
	}
	for i, fd := range s.low {
		c.low[i] = uintptr(fd)
	}
	c.become(sys.Credential)
	if c.path, err = syscall.BytePtrFromString(path); err != nil {
		return nil, err
	}
	if attr.Dir != "" {
		if c.dir, err = syscall.BytePtrFromString(attr.Dir); err != nil {
			return nil, err
		}
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return nil, err
	}
	env, err := syscall.SlicePtrFromStrings(attr.Env)
	if err != nil {
		return nil, err
	}
	c.argv, c.env = &args[0], &env[0]
	return c, nil
}

// known reports whether nothing else is asked for.
func known(sys *syscall.SysProcAttr) bool {
	return sys.Chroot == "" && !sys.Ptrace && !sys.Setsid && !sys.Setctty && !sys.Noctty && !sys.Foreground && sys.Pgid == 0 &&
		sys.Cloneflags == 0 && sys.Unshareflags == 0 && sys.UidMappings == nil && sys.GidMappings == nil && sys.AmbientCaps == nil
}

func (c *child) become(cred *syscall.Credential) {
	if cred == nil {
		return
	}
	c.switches, c.setsGroups, c.uid, c.gid = true, !cred.NoSetGroups, uintptr(cred.Uid), uintptr(cred.Gid)
	if n := len(cred.Groups); n > 0 {
		c.groups, c.groupCount = &cred.Groups[0], uintptr(n)
	}
}

// stackSize is far more than a chain of functions may need that never asks for more (the linker allows 800 bytes).
const stackSize = 16 << 10

// clone makes the child, which calls live on its own stack.
func clone(args, size uintptr, c *child) (pid, errno uintptr)

const maskSize = 8 // of the kernel's set of signals

// start makes the child. It is born with all signals blocked: a handler of the runtime must not run in it.
//
//go:noinline
//go:norace
//go:nocheckptr
func (c *child) start() (pid uintptr, errno syscall.Errno) {
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.everyone)),
		uintptr(unsafe.Pointer(&c.mask)), maskSize, 0, 0)
	pid, failed := clone(uintptr(unsafe.Pointer(&c.clone)), unsafe.Sizeof(c.clone), c)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.mask)), 0, maskSize, 0, 0)
	return pid, syscall.Errno(failed)
}

// live is what the child does. It and all that it calls must not grow the stack, allocate, or be moved: system calls
// only, since the runtime knows nothing of the child, which has the parent's thread-local memory too.
//
//lint:ignore U1000 clone, in assembly, calls it
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func live(c *child) {
	c.errno = c.exec()
	for {
		syscall.RawSyscall(syscall.SYS_EXIT, 127, 0, 0)
	}
}

// exec is the life of the child. It returns only when it failed. The order is that of syscall.ForkExec, after
// the descriptors: before they are its own it must not change any.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (c *child) exec() syscall.Errno {
	if _, _, e := syscall.RawSyscall(unix.SYS_CLOSE_RANGE, c.end, uintptr(^uint32(0)), unix.CLOSE_RANGE_UNSHARE); e != 0 {
		return e
	}
	c.apart = 1
	if c.setpgid {
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETPGID, 0, 0, 0); e != 0 {
			return e
		}
	}
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.mask)), 0, maskSize, 0, 0)
	if c.nice != 0 { // before the user changes; one that may not have it goes on without
		syscall.RawSyscall(syscall.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, uintptr(c.nice))
	}
	if c.switches {
		if e := c.switchUser(); e != 0 {
			return e
		}
	}
	if c.dir != nil {
		if _, _, e := syscall.RawSyscall(syscall.SYS_CHDIR, uintptr(unsafe.Pointer(c.dir)), 0, 0); e != 0 {
			return e
		}
	}
	if e := c.dieWithParent(); e != 0 {
		return e
	}
	for i, fd := range c.low {
		if _, _, e := syscall.RawSyscall(syscall.SYS_DUP3, fd, uintptr(i), 0); e != 0 {
			return e
		}
	}
	syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&c.noFile)), 0, 0, 0)
	_, _, e := syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(c.path)), uintptr(unsafe.Pointer(c.argv)), uintptr(unsafe.Pointer(c.env)))
	return e
}

//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (c *child) switchUser() syscall.Errno {
	if c.setsGroups {
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETGROUPS, c.groupCount, uintptr(unsafe.Pointer(c.groups)), 0); e != 0 {
			return e
		}
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETGID, c.gid, 0, 0); e != 0 {
		return e
	}
	_, _, e := syscall.RawSyscall(syscall.SYS_SETUID, c.uid, 0, 0)
	return e
}

// dieWithParent comes after the change of user, which takes the wish back.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (c *child) dieWithParent() syscall.Errno {
	if c.deathSignal == 0 {
		return 0
	}
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_PDEATHSIG, c.deathSignal, 0, 0, 0, 0); e != 0 {
		return e
	}
	if parent, _, _ := syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0); parent != c.parent { // it died before it was asked
		self, _, _ := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0)
		syscall.RawSyscall(syscall.SYS_KILL, self, c.deathSignal, 0)
	}
	return 0
}
