package engine

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/engine/forkexec"
	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/supervisor"
	"github.com/distsuper/distsuper/pkg/token/page"
)

// forkExec is what forkexec.Starter.ForkExec is.
type forkExec func(path string, argv []string, attr *syscall.ProcAttr) (pid int, execed bool, err error)

// forkSlowly is syscall.ForkExec, which waits for every exec.
func forkSlowly(path string, argv []string, attr *syscall.ProcAttr) (pid int, execed bool, err error) {
	pid, err = syscall.ForkExec(path, argv, attr)
	return pid, err == nil, err
}

// startFast has processes started at a cost that does not grow with their number. The error says why that cannot be had.
// Only then may the limit of open files be raised: package syscall would hand the raised one on.
func (l *loop) startFast(limit unix.Rlimit) error {
	s, err := forkexec.New(limit)
	if err != nil {
		return err
	}
	self.RaiseNoFile()
	s.Nice = l.nice
	s.Late = func(pid int, err error) { l.engine.post(func(l *loop) { l.execedLate(pid, err) }) }
	l.start, l.starter, l.noFile = s.ForkExec, s, limit
	return nil
}

// execedLate is told when a process whose start was not waited for has execed, or has ended before.
func (l *loop) execedLate(pid int, err error) {
	r := l.mains[pid]
	switch {
	case r == nil:
	case err != nil:
		l.log.warn("A process cannot run its program", processField(r.ref), zap.Int("pid", pid), zap.Error(err))
	default:
		l.log.info("A process is not held up by its file any more", processField(r.ref), zap.Int("pid", pid))
		r.late = false
		l.unprotect(pid)
	}
}

// spawn starts one copy.
func (l *loop) spawn(r *run, c core.Copy) core.Event {
	ends, err := openPipes(r.plan, l.unread)
	if err != nil {
		return spawnFailed(c, core.Failure{Text: pipesFailed(r.plan.Name, err), Fault: api.FaultMachine})
	}
	pidfd := -1
	pid, execed, err := l.fork(r, ends, &pidfd)
	if err != nil {
		return l.notSpawned(r, c, ends, err)
	}
	l.adopt(r, pid, pidfd, ends)
	r.late = !execed
	if execed {
		l.unprotect(pid)
	} else {
		l.log.warn("A process cannot run its program yet: the kernel waits for the file", processField(r.ref), zap.Int("pid", pid), zap.String("file", r.plan.Path))
	}
	return core.Spawned{Copy: c, PID: pid, At: wallNow()}
}

func spawnFailed(c core.Copy, why core.Failure) core.Event {
	return core.SpawnFailed{Copy: c, Why: why, At: wallNow()}
}

// fork forks and execs, with the umask of the program.
func (l *loop) fork(r *run, ends *pipes, pidfd *int) (pid int, execed bool, err error) {
	plan := r.plan
	attr := &syscall.ProcAttr{
		Dir:   plan.Dir,
		Env:   plan.Env,
		Files: []uintptr{uintptr(ends.stdin.read), uintptr(ends.stdout.write), uintptr(ends.stderr.write), page.Descriptor: uintptr(l.engine.tokens.Descriptor())},
		Sys: &syscall.SysProcAttr{
			Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: plan.Credential, PidFD: pidfd,
		},
	}
	if err := r.cage.Enter(attr.Sys); err != nil {
		return 0, false, err
	}
	if plan.Umask != nil {
		unix.Umask(*plan.Umask)
		defer unix.Umask(l.umask)
	}
	pid, execed, err = l.start(plan.Path, plan.Argv, attr)
	if err == nil && l.starter == nil && l.nice != 0 { // a little late: it runs already
		if err := unix.Setpriority(unix.PRIO_PROCESS, pid, l.nice); err != nil && err != unix.ESRCH {
			l.log.warn("A process has a different nice value from the agent's at its start", processField(r.ref), zap.Error(err))
		}
	}
	return pid, execed, err
}

// adopt takes a new main process over.
func (l *loop) adopt(r *run, pid, pidfd int, ends *pipes) {
	if pidfd < 0 {
		pidfd, _ = unix.PidfdOpen(pid, 0) // it is not reaped, so the number is its own
	}
	r.pid, r.group, r.pidfd = pid, pid, pidfd
	l.watchMain(r)
	r.cage.Entered(pid, []int{ends.stdin.read, ends.stdout.write, ends.stderr.write})
	r.stdin = &stdin{fd: ends.stdin.write}
	l.attach(r.plan, ends)
	ends.closeChild()
}

// watchMain has the end of a main process noticed.
func (l *loop) watchMain(r *run) {
	l.mains[r.pid] = r
	r.tag = l.watch(r.pidfd, unix.EPOLLIN, func(now deadline.Moment) { l.exited(now, r) })
}

// unprotect takes from a process that has execed the keeper's protection from the OOM killer. Before that they share
// their memory, and the keeper would lose it.
func (l *loop) unprotect(pid int) {
	if l.oomScore >= 0 {
		return
	}
	file := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	if err := os.WriteFile(file, []byte("0"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		l.log.warn("A process keeps the keeper's protection from the OOM killer", zap.Int("pid", pid), zap.Error(err))
	}
}

// notSpawned tells why there is no new copy. What failed in the child is found out elsewhere, since it takes
// looking at files.
func (l *loop) notSpawned(r *run, c core.Copy, ends *pipes, err error) core.Event {
	errno, ok := err.(syscall.Errno)
	if !ok { // of the cage, which comes before the fork
		ends.closeAll()
		return spawnFailed(c, core.Failure{Text: err.Error(), Fault: launch.FaultOf(err)})
	}
	if why, ok := r.plan.ForkFailed(errno); ok {
		ends.closeAll()
		return spawnFailed(c, why)
	}
	l.attach(r.plan, ends)
	e, plan := l.engine, r.plan
	e.beside(func() {
		why := plan.Explain(errno)
		if why.InChild {
			unix.Write(ends.stderr.write, []byte("supervisor: "+why.Text+"\n"+supervisor.ChildNotSpawned))
		}
		ends.closeAll()
		e.post(func(l *loop) { l.drive(l.Moment(), spawnFailed(c, why)) })
	})
	return nil
}
