package logs

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

// State is what a collector knows and the next one in the same process, another binary by then, does not find in the files: the open pipes,
// what was read of them and is not written, and which byte of which file has which number. The descriptors are handed on open. Its
// JSON is read by other versions: a field keeps its name and meaning.
type State struct {
	ID        string        `json:"id"`
	LastChain int           `json:"last_chain"`
	Chains    []chainState  `json:"chains,omitempty"`
	Targets   []targetState `json:"targets,omitempty"`
	Pipes     []pipeState   `json:"pipes,omitempty"` // in the order in which they were attached
	Paths     []pathState   `json:"paths,omitempty"`
	Held      []heldState   `json:"held,omitempty"`
	Syslog    syslogState   `json:"syslog,omitzero"`
}

type chainState struct {
	Path  string      `json:"path"`
	ID    string      `json:"id"`
	Files []fileState `json:"files,omitempty"`
}

type fileState struct {
	File   string `json:"file,omitempty"`
	Device uint64 `json:"dev"`
	Inode  uint64 `json:"ino"`
	Start  int64  `json:"start"`
	Size   int64  `json:"size"`
	Kept   int64  `json:"kept,omitempty"`
}

type targetState struct {
	Path     string `json:"path"`
	MaxBytes int64  `json:"max_bytes,omitempty"`
	Backups  int    `json:"backups,omitempty"`
	FD       int    `json:"fd"` // -1 while it is not open
	MidLine  bool   `json:"mid_line,omitempty"`
	Stuck    bool   `json:"stuck,omitempty"`
	Pending  []byte `json:"pending,omitempty"`
	// Since when not a byte was written, and what was told of it.
	HeldFrom  clock.Instant `json:"held_from,omitempty"`
	HeldSince time.Time     `json:"held_since,omitzero"`
	Held      Held          `json:"held,omitzero"`
	Problem   string        `json:"problem,omitempty"`
}

type pipeState struct {
	FD         int       `json:"fd"`
	Sink       Sink      `json:"sink"`
	Grown      bool      `json:"grown,omitempty"`
	Sequence   []byte    `json:"sequence,omitempty"` // an escape sequence whose end was not read yet
	FileLine   lineState `json:"file_line,omitzero"`
	SyslogLine lineState `json:"syslog_line,omitzero"`
	MidLine    bool      `json:"mid_line,omitempty"`
}

type lineState struct {
	Data  []byte        `json:"data,omitempty"`
	Until clock.Instant `json:"until,omitempty"`
}

type pathState struct {
	Process string `json:"process"`
	Channel string `json:"channel"`
	Path    string `json:"path,omitempty"`
}

type heldState struct {
	Process string `json:"process"`
	Held    Held   `json:"held"`
}

type syslogState struct {
	Waiting [][]byte `json:"waiting,omitempty"`
	Lost    int      `json:"lost,omitempty"`
}

// Descriptors are those that are to stay open.
func (s State) Descriptors() (fds []int) {
	for _, t := range s.Targets {
		if t.FD >= 0 {
			fds = append(fds, t.FD)
		}
	}
	for _, p := range s.Pipes {
		fds = append(fds, p.FD)
	}
	return fds
}

// ErrBusy says that the log thread, or syslog, is busy right now.
var ErrBusy = errors.New("output is being written, perhaps to a slow disk")

// HandOver holds the log thread between two writes and returns what the next collector goes on with. Followers get nothing any more. The
// collector goes on itself once resume is called. The error, in which ctx may end, means that nothing is held.
func (c *Collector) HandOver(ctx context.Context) (s State, resume func(), err error) {
	held, busy, resumed := make(chan State), make(chan struct{}), make(chan struct{})
	if err := c.post(func() {
		if !c.syslog.sending.TryLock() {
			close(busy)
			return
		}
		defer c.syslog.sending.Unlock()
		select {
		case held <- c.export():
			<-resumed
		case <-ctx.Done():
		}
	}); err != nil {
		return s, nil, err
	}
	select {
	case s = <-held:
		return s, func() { close(resumed) }, nil
	case <-busy:
	case <-ctx.Done():
	}
	return s, nil, ErrBusy
}

func (c *Collector) export() State {
	s := State{ID: c.id, LastChain: c.lastChain, Syslog: c.syslog.export()}
	for path, ch := range c.chains {
		one := chainState{Path: path, ID: ch.id}
		for _, f := range ch.files {
			one.Files = append(one.Files, fileState{f.file, f.dev, f.ino, f.start, f.size, f.kept})
		}
		s.Chains = append(s.Chains, one)
	}
	for _, t := range c.targets {
		if len(t.pipes) > 0 || len(t.pending) > 0 {
			s.Targets = append(s.Targets, targetState{t.path, t.max, t.backups, t.fd, t.midLine, t.stuck, t.pending, t.heldFrom, t.heldSince, t.held, t.problem})
		}
	}
	pipes := make([]*pipe, 0, len(c.pipes))
	for _, p := range c.pipes {
		pipes = append(pipes, p)
	}
	slices.SortFunc(pipes, func(a, b *pipe) int { return cmp.Compare(a.id, b.id) })
	for _, p := range pipes {
		s.Pipes = append(s.Pipes, pipeState{p.fd, p.sink, p.grown, p.ansi.begun, lineState{p.fileLine.data, p.fileLine.until},
			lineState{p.syslogLine.data, p.syslogLine.until}, p.midLine})
	}
	for process, h := range c.toldHeld {
		s.Held = append(s.Held, heldState{process, h})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for channel, path := range c.paths {
		s.Paths = append(s.Paths, pathState{channel.process, channel.channel, path})
	}
	return s
}

// adopt goes on with what another collector has handed over. It comes before the log thread begins.
func (c *Collector) adopt(s State) {
	c.id, c.lastChain = s.ID, s.LastChain
	for _, one := range s.Chains {
		ch := &chain{id: one.ID}
		for _, f := range one.Files {
			ch.files = append(ch.files, chainFile{f.File, f.Device, f.Inode, f.Start, f.Size, f.Kept})
		}
		c.chains[one.Path] = ch
	}
	for _, one := range s.Targets {
		c.adoptTarget(one)
	}
	for _, one := range s.Pipes {
		c.lastID++
		p := &pipe{id: c.lastID, fd: one.FD, sink: one.Sink, name: api.ProcessName(one.Sink.Process) + " ", grown: one.Grown,
			ansi: stripper{one.Sequence}, fileLine: partialLine{one.FileLine.Data, one.FileLine.Until},
			syslogLine: partialLine{one.SyslogLine.Data, one.SyslogLine.Until}, midLine: one.MidLine}
		c.pipes[p.id] = p
		c.channels[p.sink.channel()] = append(c.channels[p.sink.channel()], p)
		if p.due() != clock.Never {
			c.partial[p] = struct{}{}
		}
		if p.sink.Path != "" {
			p.target = c.target(p.sink.Path)
			p.target.pipes = append(p.target.pipes, p)
			p.parked = p.target.stuck
		}
		if !p.parked {
			c.listen(p)
		}
	}
	for _, one := range s.Held {
		c.toldHeld[one.Process] = one.Held
	}
	for _, one := range s.Paths {
		c.paths[channelKey{one.Process, one.Channel}] = one.Path
	}
	c.syslog.adopt(s.Syslog)
}

func (c *Collector) adoptTarget(one targetState) {
	t := c.target(one.Path)
	t.max, t.backups, t.fd, t.midLine = one.MaxBytes, one.Backups, one.FD, one.MidLine
	var st unix.Stat_t
	if t.fd >= 0 && unix.Fstat(t.fd, &st) == nil {
		t.noteKind(&st)
	}
	t.stuck, t.pending, t.heldFrom, t.heldSince, t.held = one.Stuck, one.Pending, one.HeldFrom, one.HeldSince, one.Held
	if t.stuck {
		c.stuck[t] = struct{}{} // and retryAt is now
	}
	if t.problem = one.Problem; t.problem != "" {
		c.setProblem(t.path, t.problem)
	}
}
