package keepertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/board"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/logstream"
)

// Exit ends the living copy of a process with an exit status, as if by itself.
func (f *Fake) Exit(id string, status int) error { return f.die(id, status, "") }

// CrashCopy ends the living copy of a process by a signal such as SIGSEGV, as if by itself.
func (f *Fake) CrashCopy(id, signal string) error { return f.die(id, -1, signal) }

func (f *Fake) die(id string, status int, signal string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dueLocked()
	return f.dieLocked(id, status, signal)
}

func (f *Fake) dieLocked(id string, status int, signal string) error {
	if f.procs[id] == nil {
		return fmt.Errorf("end %s: %w", id, keeper.ErrNotRunning)
	}
	f.endLocked(id, status, signal)
	f.dueLocked()
	return nil
}

// GoFatal makes a process that has a living copy FATAL: it exits, again and again, and its retries are used up.
func (f *Fake) GoFatal(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dueLocked()
	r, _ := f.runLocked(id)
	q := keeper.StartRequest{Token: r.Token, Process: r.Process, Leases: r.Leases, OnPartition: r.OnPartition}
	fragile := q
	fragile.Process.StartSecs, fragile.Process.StartRetries, fragile.Process.Autorestart = 1, 0, api.RestartAlways
	err := f.turnLocked(core.Update{Request: fragile})
	for err == nil && r.State != api.Fatal {
		err = f.dieLocked(id, 1, "")
		r, _ = f.runLocked(id)
	}
	return errors.Join(err, f.turnLocked(core.Update{Request: q}))
}

// Refuse makes later starts of a process end refused, with this fault and reason; FaultNone takes it back.
func (f *Fake) Refuse(id string, fault api.Fault, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault == api.FaultNone {
		delete(f.refuse, id)
		return
	}
	f.refuse[id] = core.Failure{Fault: fault, Text: reason}
}

// HoldOutput tells that the output of a process is held up since now, and why; "" that it is not any more.
func (f *Fake) HoldOutput(id, why string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := core.OutputHeld{ID: id, Why: why}
	if why != "" {
		e.Since = f.opts.Clock.Wall()
	}
	return f.turnLocked(e)
}

// StopTakes sets how long a copy lives on after its stop signal (0 at first); id "" is every process without a time of its own. After
// stopwaitsecs it is killed.
func (f *Fake) StopTakes(id string, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopTakes[id] = clock.Instant(d)
}

// FailCalls lets fail decide the error of each call, before it does anything; nil ends that. It is called
// with the method's name and the process (or "") under the fake's lock, so it may not call the fake.
func (f *Fake) FailCalls(fail func(call, id string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// Pause stops the keeper as SIGSTOP does: calls hang until Resume or until their context ends. If a
// deadline comes meanwhile, the keeper dies with everything it runs, and calls answer ErrDown until Restart.
func (f *Fake) Pause() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dueLocked()
	if f.resumed == nil {
		f.resumed = make(chan struct{})
	}
	f.kickLocked()
}

// Resume ends Pause.
func (f *Fake) Resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dueLocked()
	f.resumeLocked()
	f.dueLocked()
	f.kickLocked()
}

func (f *Fake) resumeLocked() {
	if f.resumed != nil {
		close(f.resumed)
		f.resumed = nil
	}
}

// Crash is SIGKILL to the keeper: every copy dies, and calls answer ErrDown until Restart.
func (f *Fake) Crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dueLocked()
	f.crashLocked()
}

func (f *Fake) crashLocked() {
	for _, id := range slices.Sorted(maps.Keys(f.procs)) {
		f.endLocked(id, -1, "SIGKILL")
	}
	f.board, f.ended = board.New(f.instance), nil
	f.down = true
	f.resumeLocked()
	f.changedLocked()
	f.kickLocked()
}

// Restart starts a new keeper: another instance that knows nothing of the runs before. If the last
// one still lives, it is killed first.
func (f *Fake) Restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashLocked()
	f.freshLocked()
}

// Instance is the present keeper's.
func (f *Fake) Instance() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.instance
}

// Run returns the run of a process, as it is now.
func (f *Fake) Run(id string) (keeper.Run, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dueLocked()
	return f.runLocked(id)
}

// Runs returns every run, by process name.
func (f *Fake) Runs() []keeper.Run {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dueLocked()
	s, _ := f.board.Look(0)
	slices.SortFunc(s.Runs, func(a, b keeper.Run) int { return cmp.Compare(a.ID, b.ID) })
	return s.Runs
}

// Leases returns the leases that the keeper holds, by number.
func (f *Fake) Leases() []keeper.Lease {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, _ := f.board.Look(0)
	slices.SortFunc(s.Leases, func(a, b keeper.Lease) int { return cmp.Compare(a.ID, b.ID) })
	return s.Leases
}

// Env is the environment that the run of a process was started or last updated with.
func (f *Fake) Env(id string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.env[id]
}

// Removed lists the processes whose AUTO logs were removed.
func (f *Fake) Removed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.removed)
}

// Calls lists the calls taken in so far, such as "Start web:1", without Changes.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// SetLog sets the content of a channel's log.
func (f *Fake) SetLog(id, channel, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs[id+"/"+channel] = text
}

// fakeLog is a text, and when followed a wait for the end.
type fakeLog struct {
	io.Reader
	ctx    context.Context
	cancel context.CancelFunc
	follow bool
}

func newFakeLog(ctx context.Context, text string, r logstream.Range) *logstream.Stream {
	size := int64(len(text))
	at := max(size-r.Last, 0)
	switch {
	case r.From != nil:
		at = min(max(r.From.Offset, 0), size)
	case r.Last < 0:
		at = 0
	}
	text = text[at:]
	if r.Length > 0 {
		text = text[:min(r.Length, int64(len(text)))]
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &fakeLog{Reader: strings.NewReader(text), ctx: ctx, cancel: cancel, follow: r.Follow && r.Length == 0}
	return &logstream.Stream{ReadCloser: l, Start: logstream.Start{Position: logstream.Position{File: "fake", Offset: at}, Size: size}}
}

func (l *fakeLog) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err == io.EOF && l.follow {
		<-l.ctx.Done()
	}
	return n, err
}

func (l *fakeLog) Close() error {
	l.cancel()
	return nil
}
