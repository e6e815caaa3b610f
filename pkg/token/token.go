// Package token tells a program that distsuper runs until when it surely is the only copy of itself, and by which fencing token
// others can see that.
//
// distsuper runs a process on one machine at a time. When a machine loses its connection to the cluster, it ends its processes before
// another machine may start them. A program needs to know of this only for what it does outside of itself: a job that it takes, a
// file on shared storage, a row in a database. Two things help it there, and it should use both:
//
//   - Before an act, it looks whether there is time left for it: MayActUntil. After that moment another copy may run. The Context
//     ends shortly before, when there is still time to clean up.
//   - With each act it sends Number. It only rises from copy to copy, so that the other side can refuse what comes from an older copy
//     than it has heard of. This holds where clocks cannot help: an act may be delayed on its way, and a virtual machine may stand still
//     between the look and the act.
//
// The moment is kept up to date by the keeper in memory that this process reads: to ask costs less than a microsecond, and asks nobody.
// It stands still, and so comes, when the keeper is stopped, killed or cut off.
//
// What is not promised: a process with on_partition = keep, or on a machine that is alone, has no deadline, and MayActUntil is
// centuries away. That is true of a machine that is alone. Under a keep that the user wrote, a second copy may run nevertheless.
package token

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/token/page"
)

// ErrNone says that this process was not started by distsuper, or by a version that tells no deadlines.
var ErrNone = errors.New("this process has no token: it was not started by distsuper")

// ErrLost is the cause of the end of a Context: this copy ends, and soon another one may run elsewhere.
var ErrLost = errors.New("the token is lost: the machine does not reach the cluster in time, or the run is over")

// A Token is that of this process's run: its copies on this machine have the same one, until it is stopped or moved. All
// methods may be called from any goroutine.
type Token struct {
	number  int64
	process string
	view    *page.View

	watch sync.Once
	lost  context.Context // ends with the cause ErrLost
	end   context.CancelCauseFunc
}

// FromEnvironment returns the token of this process. The error is ErrNone when it has none; any other one says what is wrong.
func FromEnvironment() (*Token, error) { return from(os.Getenv) }

func from(getenv func(string) string) (*Token, error) {
	text, at := getenv("DISTSUPER_TOKEN"), getenv(page.Variable)
	if text == "" || at == "" {
		return nil, ErrNone
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("DISTSUPER_TOKEN is %q, which is not a number", text)
	}
	address, err := page.ParseAddress(at)
	if err != nil {
		return nil, err
	}
	view, err := page.Open(address)
	if err != nil {
		return nil, err
	}
	t := &Token{number: number, process: getenv("DISTSUPER_PROCESS"), view: view}
	t.lost, t.end = context.WithCancelCause(context.Background())
	return t, nil
}

// Number is the fencing token. For one process name it only rises.
func (t *Token) Number() int64 { return t.number }

// Process is the name of this process as distsuper shows it: "group:name", or "name" where both are equal.
func (t *Token) Process() string { return t.process }

// Left is for how long from now this process surely is the only copy: MayActUntil as a duration. When it may not act any more it is not
// above 0, and when it has no deadline the longest duration.
func (t *Token) Left() time.Duration { return now().Left(t.view.Limits().Until) }

// MayActUntil is the moment until which no other copy of this process runs. After it another one may, and this one is
// killed with everything that it started. It moves on a few times a second as long as all is well, so ask before each act; what was
// returned before is true but early. Use it as the deadline of the act: context.WithDeadline(ctx, t.MayActUntil()).
//
// The result is in the past when this process may not act any more, and centuries away when it has no deadline. Like every time.Time it
// stands still while the machine sleeps: after a suspend only a new call is right.
func (t *Token) MayActUntil() time.Time { return time.Now().Add(t.Left()) }

// Lost is closed when this copy is going to end because its deadline is near or its run is over: about when it gets the
// stop signal, an eighth of touch_timeout before MayActUntil at most. It is not closed by an orderly stop, during which the
// process still is the only copy.
func (t *Token) Lost() <-chan struct{} {
	t.watch.Do(func() { go t.await() })
	return t.lost.Done()
}

// Context returns a copy of parent that ends when the token is Lost, with the cause ErrLost. Cancel it when it is not needed any more.
func (t *Token) Context(parent context.Context) (context.Context, context.CancelFunc) {
	t.Lost()
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(t.lost, func() { cancel(ErrLost) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// await ends lost. It sleeps until the stop that it was told last, or until the keeper tells an earlier one: when the keeper
// stands still, the process still learns it in time.
func (t *Token) await() {
	for {
		changes := t.view.Changes()
		left := now().Left(t.view.Limits().Stop)
		if left <= 0 {
			t.end(ErrLost)
			return
		}
		t.view.Wait(changes, left)
	}
}

func now() deadline.Moment { return deadline.Now(clock.Real{}) }
