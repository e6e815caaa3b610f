package engine

import (
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// pipe is both ends of one; -1 is closed.
type pipe struct{ read, write int }

// pipes are the standard descriptors of a child. With redirect the third is the second. Output that nobody reads goes to
// /dev/null, which has no reading end.
type pipes struct {
	stdin, stdout, stderr pipe
	redirect              bool
	null                  int // is not ours to close
}

// unread returns /dev/null for output that goes nowhere, -1 for what is to be a pipe. Where runs are told apart by what
// their processes hold, every process gets pipes of its own.
func (l *loop) unread(s logs.Sink) (null int) {
	if l.makes.TracksPipes() || l.engine.logs.Needs(s) {
		return -1
	}
	return int(l.null.Fd())
}

// openPipes makes the descriptors of a launch, where null says so with /dev/null.
func openPipes(plan *launch.Plan, null func(logs.Sink) int) (*pipes, error) {
	p := &pipes{stdin: pipe{-1, -1}, stdout: pipe{-1, -1}, stderr: pipe{-1, -1}, redirect: plan.Redirect, null: -1}
	err := p.stdin.open()
	outputs := []*pipe{&p.stdout, &p.stderr}
	for i, sink := range plan.Sinks() {
		if fd := null(sink); fd >= 0 {
			p.null, outputs[i].write = fd, fd
		} else if err == nil {
			err = outputs[i].open()
		}
	}
	if err != nil {
		p.closeAll()
		return nil, err
	}
	if p.redirect {
		p.stderr.write = p.stdout.write
	}
	unix.SetNonblock(p.stdin.write, true)
	return p, nil
}

func (p *pipe) open() error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	p.read, p.write = fds[0], fds[1]
	return nil
}

func pipesFailed(process string, err error) string {
	if errno := errnoOf(err); errno != unix.EMFILE && errno != unix.ENFILE {
		return supervisor.PipesFailed(process, unix.ErrnoName(errno))
	}
	return supervisor.TooManyFiles(process)
}

// attach hands the reading ends of the output over to the log collector, which makes them non-blocking.
func (l *loop) attach(plan *launch.Plan, ends *pipes) {
	for i, sink := range plan.Sinks() {
		pipe := &ends.stdout
		if i == 1 {
			pipe = &ends.stderr
		}
		fd := pipe.read
		pipe.read = -1
		if err := l.engine.logs.Attach(fd, sink); err != nil {
			l.log.warn("The output of a process is lost", zap.String("process", sink.Process),
				zap.String("channel", sink.Channel), zap.Error(err))
		}
	}
}

// closeChild closes the child's ends.
func (p *pipes) closeChild() {
	p.close(&p.stdin.read, &p.stdout.write)
	if !p.redirect {
		p.close(&p.stderr.write)
	}
}

// closeAll closes every end that is not handed over.
func (p *pipes) closeAll() {
	p.closeChild()
	p.close(&p.stdin.write, &p.stdout.read, &p.stderr.read)
}

func (p *pipes) close(fds ...*int) {
	for _, fd := range fds {
		if *fd >= 0 && *fd != p.null {
			unix.Close(*fd)
		}
		*fd = -1
	}
}
