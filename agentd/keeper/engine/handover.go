package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/board"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/agentd/keeper/journal"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/token/page"
)

// StateVersion is that of State and of the states in it. It rises when a binary that knows only the earlier one would do something wrong with
// it: a field that it can do without, and does not know, is no reason.
const StateVersion = 1

// State is what a keeper hands to the next binary of its process. The descriptors that it names stay open, and children stay children; all
// else is made anew. A field keeps its name and meaning.
type State struct {
	Hello    keeper.Hello        `json:"hello"`
	Owner    string              `json:"owner,omitempty"`
	Promises keeper.Promises     `json:"promises,omitzero"`
	Identity api.HostIdentity    `json:"identity"`
	Core     core.State          `json:"core"`
	Runs     []RunState          `json:"runs,omitempty"` // those of the core, in its order
	Board    board.State         `json:"board"`
	Journal  journal.State       `json:"journal"`
	File     contain.HandedFile  `json:"file"`
	Maker    contain.HandedMaker `json:"maker"`
	Guardian guardian.Handed     `json:"guardian"`
	Tokens   page.HandedBook     `json:"tokens"`
	// SignalsFD tells of a signal to end that was not acted on; 0 where the binary does not say.
	SignalsFD int `json:"signals_fd,omitempty"`
	// NoFile is the limit of open files of programs; zero where it is not known.
	NoFile unix.Rlimit `json:"no_file,omitzero"`
}

// RunState is what the loop holds of a run.
type RunState struct {
	Plan  *launch.Plan       `json:"plan"`
	Cage  contain.HandedCage `json:"cage"`
	Place *page.HandedPlace  `json:"place,omitempty"`
	PID   int                `json:"pid,omitempty"`   // of the main process, which is not reaped
	Group int                `json:"group,omitempty"` // that the last one led
	// Late: it had not execed yet.
	Late    bool   `json:"late,omitempty"`
	StdinFD int    `json:"stdin_fd"` // -1 without one
	Stdin   []byte `json:"stdin,omitempty"`
}

// Check reports why a state cannot be gone on with. It touches nothing that the state names.
func (s State) Check() error {
	c, err := core.Import(core.Options{}, s.Core)
	if err != nil {
		return err
	}
	if len(s.Runs) != len(s.Core.Runs) {
		return fmt.Errorf("there are %d runs, and processes of %d", len(s.Core.Runs), len(s.Runs))
	}
	for i, r := range s.Runs {
		q := s.Core.Runs[i].Request
		ref := keeper.Ref{ID: q.Process.ID(), Token: q.Token}
		if r.Plan == nil {
			return fmt.Errorf("%s has no plan", ref.ID)
		}
		if _, err := parseSignal(q.Process.StopSignal); err != nil {
			return fmt.Errorf("%s: stopsignal: %w", ref.ID, err)
		}
		if (c.Alive(ref) == nil) != (r.PID != 0) {
			return fmt.Errorf("%s: its process is %d", ref.ID, r.PID)
		}
	}
	if s.Maker.Name != contain.Cgroup2 && s.Maker.Name != api.Subreaper {
		return fmt.Errorf("processes are held by %q, which is not known", s.Maker.Name)
	}
	return nil
}

// Descriptors are those that are to stay open.
func (s State) Descriptors() []int {
	all := append(s.Guardian.Descriptors(), s.Tokens.WriteFD, s.Tokens.ReadFD, s.File.LockFD, s.File.HoldFD, s.Maker.Descriptor())
	for _, r := range s.Runs {
		all = append(all, r.StdinFD)
		if s.Maker.Name == contain.Cgroup2 {
			all = append(all, r.Cage.FD)
		}
	}
	if s.SignalsFD != 0 {
		all = append(all, s.SignalsFD)
	}
	open := all[:0]
	for _, fd := range all {
		if fd >= 0 {
			open = append(open, fd)
		}
	}
	return open
}

// Backstop is when the kernel ends a keeper that does not enforce deadlines, by the boot-time clock.
func (s State) Backstop(now deadline.Moment) clock.Instant { return now.Instant(s.Core.Guard) }

const (
	// handOverTime is how near the next deadline may not be: nobody enforces one while another binary begins, but the guardian, by
	// killing the keeper and all that it runs.
	handOverTime = time.Second
	// handOverPause is between two tries.
	handOverPause = 5 * time.Millisecond
)

// ErrBusy says that there was no moment at which the state could have been handed over.
var ErrBusy = errors.New("the keeper is busy")

// handOver is a wish to hand over.
type handOver struct {
	ctx   context.Context
	hold  func() (release func(), err error)
	exec  func(State) error
	done  chan error
	again clock.Instant
	why   error // why it has not been possible yet
}

// HandOver calls exec on the main thread with the state, at a moment at which that is all there is. Nobody may call the engine meanwhile.
// Before, and for as long, hold keeps others from what belongs to the state; it may be called more than once and takes little time. Of a hand-over
// that succeeds nobody hears; else it returns what exec did, or that ctx has ended before such a moment came.
func (e *Engine) HandOver(ctx context.Context, hold func() (release func(), err error), exec func(State) error) error {
	h := &handOver{ctx: ctx, hold: hold, exec: exec, done: make(chan error, 1)}
	err := e.do(ctx, func(l *loop) error {
		if l.handOver != nil {
			return errors.New("another hand-over is under way")
		}
		l.handOver = h
		return nil
	})
	if err != nil {
		return err
	}
	return <-h.done // the loop looks at ctx
}

// tryHandOver comes between two turns.
func (l *loop) tryHandOver() {
	h, now := l.handOver, l.Moment()
	finish := func(err error) {
		l.handOver = nil
		h.done <- err
	}
	switch {
	case l.ended:
		finish(keeper.ErrClosing)
		return
	case h.ctx.Err() != nil:
		finish(fmt.Errorf("%w: %w", ErrBusy, errors.Join(h.why, h.ctx.Err())))
		return
	case h.again > now.Boot:
		return
	}
	h.again = now.Boot.Add(handOverPause)
	if h.why = l.notNow(now); h.why != nil {
		return
	}
	release, err := h.hold()
	if h.why = err; err != nil {
		return
	}
	defer release()
	e := l.engine
	e.mu.Lock() // whoever has something to tell waits, and tells it if this fails
	defer e.mu.Unlock()
	if h.why = l.notNowLocked(); h.why != nil {
		return
	}
	s, err := l.exportLocked()
	if err == nil {
		err = h.exec(s)
	}
	finish(err)
}

// notNow reports why the state cannot be handed over now.
func (l *loop) notNow(now deadline.Moment) error {
	if left := now.Left(l.guarded); left < handOverTime {
		return errors.New("a deadline is near")
	}
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	return l.notNowLocked()
}

func (l *loop) notNowLocked() error {
	if l.engine.besides.Load() != 0 {
		return errors.New("it waits for a file")
	}
	if len(l.engine.queue) > 0 {
		return errors.New("something was asked for")
	}
	return nil
}

// exportLocked gathers the state.
func (l *loop) exportLocked() (State, error) {
	e := l.engine
	s := State{Hello: e.hello, Owner: e.owner, Promises: e.promises, Identity: e.identity, Core: l.core.Export(), Board: e.board.Export(), Journal: e.journal.Export(),
		Maker: l.makes.HandOver(), Guardian: l.guard.HandOver(), Tokens: e.tokens.HandOver(), NoFile: l.noFile}
	for i := range s.Core.Runs {
		r := l.runs[s.Core.Runs[i].Request.Process.ID()]
		one := RunState{Plan: r.plan, Cage: r.cage.HandOver(), Place: r.place.HandOver(), PID: r.pid, Group: r.group, Late: r.late && r.pid != 0, StdinFD: -1}
		if r.stdin != nil {
			one.StdinFD, one.Stdin = r.stdin.fd, r.stdin.waiting
		}
		s.Runs = append(s.Runs, one)
	}
	if l.ends != nil {
		s.SignalsFD = l.ends.Descriptor()
	}
	var err error
	s.File, err = e.file.HandOver()
	return s, err
}
