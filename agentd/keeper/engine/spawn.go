package engine

import (
	"cmp"
	"errors"
	"os"
	"strconv"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/forkexec"
	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
	"github.com/distsuper/distsuper/pkg/supervisor"
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
func (l *loop) startFast() error {
	limit, err := l.guard.Inherited()
	if err != nil {
		return err
	}
	s, err := forkexec.New(limit)
	if err != nil {
		return err
	}
	self.RaiseNoFile()
	s.Late = func(pid int, err error) { l.engine.post(func(l *loop) { l.execedLate(pid, err) }) }
	l.start = s.ForkExec
	return nil
}

// execedLate is told when a process whose start was not waited for has execed, or has ended before.
func (l *loop) execedLate(pid int, err error) {
	for _, r := range l.runs {
		switch {
		case r.PID != pid:
		case err != nil:
			l.log.warn("A process cannot run its program", processField(r), zap.Int("pid", pid), zap.Error(err))
		default:
			l.log.info("A process is not held up by its file any more", processField(r), zap.Int("pid", pid))
			l.unprotect(pid)
		}
	}
}

// spawn starts some of what waits to be started.
func (l *loop) spawn() {
	l.inOrder()
	for range spawnsPerPass {
		if len(l.spawning) == 0 {
			return
		}
		r := l.spawning[0]
		l.spawning = l.spawning[1:]
		l.sorted--
		r.queued = false
		l.spawnRun(r)
	}
}

// spawnRun starts one copy, unless it is not wanted any more or its deadline is too near: this is the last
// look before the exec.
func (l *loop) spawnRun(r *run) {
	l.now = deadline.Now(clock.Real{})
	l.enforceRun(r)
	if l.ending != nil {
		l.feed(r, fsm.Event{Kind: fsm.Stop})
	}
	if r.Life.Copy != fsm.Wanted {
		return
	}
	r.tries++
	ends, err := openPipes(r.plan, l.unread)
	if err != nil {
		l.spawnFailed(r, launch.Failure{Text: pipesFailed(r.plan.Name, err)})
		return
	}
	// Whoever steps in while the loop waits for the exec must know of this one.
	hard := deadline.Earlier(l.guard.Deadline(), r.fence.hard)
	l.guardBy(hard)
	pidfd := -1
	pid, execed, err := l.fork(r, ends, &pidfd)
	if err != nil {
		l.notSpawned(r, ends, err)
		return
	}
	l.now = deadline.Now(clock.Real{})
	l.born(r, pid, pidfd, ends)
	if !execed {
		l.log.warn("A process cannot run its program yet: the kernel waits for the file", processField(r), zap.Int("pid", pid), zap.String("file", r.plan.Path))
		return
	}
	l.unprotect(pid)
}

// fork forks and execs, with the umask of the program.
func (l *loop) fork(r *run, ends *pipes, pidfd *int) (pid int, execed bool, err error) {
	plan := r.plan
	attr := &syscall.ProcAttr{
		Dir:   plan.Dir,
		Env:   plan.Env,
		Files: []uintptr{uintptr(ends.stdin.read), uintptr(ends.stdout.write), uintptr(ends.stderr.write)},
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
	return l.start(plan.Path, plan.Argv, attr)
}

// born takes a new main process over.
func (l *loop) born(r *run, pid, pidfd int, ends *pipes) {
	if pidfd < 0 {
		pidfd, _ = unix.PidfdOpen(pid, 0) // it is not reaped, so the number is its own
	}
	r.PID, r.group, r.pidfd = pid, pid, pidfd
	r.Started = wallNow()
	r.tag = l.watch(pidfd, unix.EPOLLIN, func() { l.exited(r) })
	r.cage.Entered(pid, []int{ends.stdin.read, ends.stdout.write, ends.stderr.write})
	r.stdin = &stdin{fd: ends.stdin.write}
	l.attach(r.plan, ends)
	ends.closeChild()
	l.tellChange(r, Change{Kind: Spawned, PID: pid})
	l.feed(r, fsm.Event{Kind: fsm.Spawned})
	l.log.info("Started a process", processField(r), zap.Int("pid", pid), zap.Int64("token", r.Request.Token))
}

// watch has something done whenever a descriptor is ready. A descriptor that cannot be watched is one of a
// process whose end is found by SIGCHLD, a little later.
func (l *loop) watch(fd int, events uint32, do func()) (tag uint64) {
	tag = l.nextTag
	l.nextTag++
	if err := l.poll.add(fd, events, tag); err != nil {
		l.log.warn("A descriptor is not watched", zap.Error(err))
		return tag
	}
	l.byTag[tag] = do
	return tag
}

func (l *loop) unwatch(fd int, tag uint64) {
	delete(l.byTag, tag)
	l.poll.drop(fd)
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
func (l *loop) notSpawned(r *run, ends *pipes, err error) {
	errno, ok := err.(syscall.Errno)
	if !ok { // of the cage, which comes before the fork
		ends.closeAll()
		l.spawnFailed(r, launch.Failure{Text: err.Error()})
		return
	}
	if e, ok := launch.ForkFailed(r.plan.Name, errno); ok {
		ends.closeAll()
		l.spawnFailed(r, e)
		return
	}
	l.attach(r.plan, ends)
	try, plan := r.tries, r.plan
	go func() {
		e := plan.Explain(errno)
		if e.InChild {
			unix.Write(ends.stderr.write, []byte("supervisor: "+e.Text+"\n"+supervisor.ChildNotSpawned))
		}
		ends.closeAll()
		l.engine.post(func(l *loop) {
			if r.tries != try {
				return
			}
			if e.InChild {
				l.noteExit(r, supervisor.ExitNotSpawned, "")
			}
			l.spawnFailed(r, e)
		})
	}()
}

// spawnFailed tells that there is no new copy.
func (l *loop) spawnFailed(r *run, e launch.Failure) {
	l.tellChange(r, Change{Kind: NotSpawned, Text: e.Text})
	l.feed(r, fsm.Event{Kind: fsm.SpawnFailed, Text: e.Text, Fault: cmp.Or(e.Fault, api.FaultSpawn), Refused: e.Refused})
}

// exited reaps a main process.
func (l *loop) exited(r *run) {
	if r.PID == 0 {
		return
	}
	var status unix.WaitStatus
	pid, err := unix.Wait4(r.PID, &status, unix.WNOHANG, nil)
	if err != nil || pid != r.PID {
		return
	}
	l.tellEnd(r, pid, status)
	l.unwatch(r.pidfd, r.tag)
	l.closeStdin(r)
	r.PID, r.pidfd = 0, -1
	code, name := status.ExitStatus(), ""
	if status.Signaled() {
		code, name = -1, unix.SignalName(status.Signal())
	}
	l.noteExit(r, code, name)
	l.feed(r, fsm.Event{Kind: fsm.Exit, Status: code})
}

func (l *loop) noteExit(r *run, code int, signal string) {
	r.Exit, r.Signal, r.Stopped = &code, signal, wallNow()
	r.dirty = true
}

// tell logs what a state machine went through.
func (l *loop) tell(r *run, old fsm.Lifecycle) {
	m := r.Life
	if m.State == old.State && m.Over == old.Over {
		return
	}
	fields := []zap.Field{processField(r), zap.Stringer("from", old.State), zap.Stringer("to", m.State)}
	if m.Reason != "" {
		fields = append(fields, zap.String("reason", m.Reason))
	}
	if old.Copy == fsm.Alive && m.Copy != fsm.Alive && r.Exit != nil {
		fields = append(fields, zap.Int("exit", *r.Exit), zap.String("signal", r.Signal))
	}
	l.log.info("A process changed its state", fields...)
}

// markOf is how the environment of a run's processes names it.
func (e *Engine) markOf(r *run) contain.Mark {
	return contain.NewMark(e.hello.Instance, r.id, r.Request.Token)
}
