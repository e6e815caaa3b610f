package engine

import (
	"os"
	"os/signal"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
)

const (
	// reapDelay gathers the ends of orphans, which nobody waits for.
	reapDelay = 20 * time.Millisecond
	// endDelay is how long the end of the keeper waits for what looks at files: a hung disk must not keep it.
	endDelay = 2 * time.Second
)

// Run is the keeper's life. It must be called on the main goroutine of a program that imports this package,
// and returns after Shutdown, or TERM or INT to the process, when nothing that the keeper started is alive.
func (e *Engine) Run() error {
	if !onMainThread() {
		panic("the keeper's loop must run on the program's main thread: call Run from main itself")
	}
	// Of each kind of signal one must get through, so each has a channel: a full one drops what comes.
	children, quit := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(children, unix.SIGCHLD)
	var listeners sync.WaitGroup
	if !e.alone {
		if err := e.loop.hearEnd(); err != nil {
			return err
		}
		listeners.Go(func() { e.loop.ends.Each(quit, e.end) })
	}
	self.HearSignals()
	listeners.Go(func() { e.listenForOrphans(children, quit) })
	e.loop.run()
	signal.Stop(children)
	close(quit)
	listeners.Wait()
	if !e.alone {
		e.loop.ends.Stop()
	}
	e.close()
	e.beside(e.keepOutcomes)
	e.awaitBackground()
	e.loop.end()
	e.log.close()
	return nil
}

// keepOutcomes writes down how those runs ended that no agent has forgotten. On a machine that is alone nobody has to be told.
func (e *Engine) keepOutcomes() {
	now, _ := e.board.Look(0)
	outcomes := keeper.OutcomesOf(e.hello.Instance, now.Runs)
	if e.alone || len(outcomes) == 0 {
		return
	}
	if err := e.file.AddOutcomes(outcomes); err != nil {
		e.log.warn("The results of runs are not kept for the next agent", zap.Int("runs", len(outcomes)), zap.Error(err))
	}
}

// beside has something done that takes its time. What it tells the loop is posted before it returns.
func (e *Engine) beside(do func()) {
	e.besides.Add(1)
	e.background.Go(func() {
		defer e.besides.Add(-1)
		do()
	})
}

// awaitBackground waits for what is done beside the loop, within bounds.
func (e *Engine) awaitBackground() {
	done := make(chan struct{})
	go func() {
		e.background.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(endDelay):
		e.log.warn("Something still waits for a file; the keeper does not")
	}
}

// hearEnd begins to take the signals that end the keeper.
func (l *loop) hearEnd() (err error) {
	kinds := []os.Signal{unix.SIGTERM, unix.SIGINT}
	if l.endsFD != 0 {
		l.ends = self.HearOn(l.endsFD, kinds...)
		return nil
	}
	l.ends, err = self.Hear(kinds...)
	return err
}

// end has the keeper end because of a signal.
func (e *Engine) end(s os.Signal) {
	e.post(func(l *loop) {
		l.drive(l.Moment(), core.Shutdown{Why: "the keeper got the signal: " + s.String()})
	})
}

// listenForOrphans has zombies reaped, some at a time. Main processes have pidfds; only orphans need this.
func (e *Engine) listenForOrphans(signals <-chan os.Signal, quit <-chan struct{}) {
	for {
		select {
		case <-quit:
			return
		case <-signals:
		}
		select {
		case <-quit:
			return
		case <-time.After(reapDelay):
		}
		e.post(func(l *loop) { l.reapSoon = true })
	}
}
