package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/rpc"
)

func newFg(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "fg NAME",
		Short: "attach the terminal to a process",
		Long: `fg shows the last output of a process and everything that it prints from now on, and sends each line that you type to
its stdin, whichever machine it runs on. It ends with Ctrl-C, at the end of the input, or when the process ends. Ctrl-C
does not affect the process.`,
		Example:           "  distsuperctl fg repl",
		ValidArgsFunction: then(c.completeProcesses),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return c.usageFailure(cmd, exitGeneric, "ERROR: no process name supplied")
			case len(args) > 1:
				return c.usageFailure(cmd, exitGeneric, "ERROR: too many process names supplied")
			}
			if err := c.open(cmd); err != nil {
				return err
			}
			return runFg(cmd.Context(), c, args[0])
		},
	}
}

func runFg(ctx context.Context, c *ctl, name string) error {
	snap, err := c.client.Look(ctx, name)
	if err != nil {
		return err
	}
	p, err := c.one(snap.Processes(), name)
	if err != nil {
		return c.failure("ERROR: bad process name supplied")
	}
	if p.State != api.Running || p.Owner == nil {
		return c.failure("ERROR: process not running")
	}
	f := &foreground{c: c, in: c.in, seen: snap, process: p.Name, machine: p.Owner.Machine, token: p.Owner.Token}
	return f.run(ctx)
}

// foreground is one run of a process with which somebody speaks.
type foreground struct {
	c                *ctl
	in               io.Reader
	seen             *client.Snapshot // as it was at first
	process, machine string
	token            int64
	mu               sync.Mutex // guards what is written
}

// fgBytes is how much of what was printed before is shown.
const fgBytes = 1024

// What ends a foreground well: the end of the run, and of what is typed.
var (
	errKilled   = errors.New("the process is no longer running")
	errAllTyped = errors.New("the input has ended")
)

func (f *foreground) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f.print("==> Press Ctrl-C to exit <==\n")
	var others sync.WaitGroup
	// The logs are open before a line is taken: what answers it is shown.
	for _, channel := range []string{"stdout", "stderr"} {
		log, err := f.c.openLog(ctx, f.machine, f.process, channel, logstream.Range{Last: fgBytes, Follow: true})
		if errors.Is(err, rpc.ErrNotFound) || errors.Is(err, rpc.ErrNoLog) {
			continue // it goes nowhere
		}
		if err != nil {
			cancel(err)
			break
		}
		stop := context.AfterFunc(ctx, func() { log.Close() })
		others.Go(func() {
			defer stop()
			f.copy(log)
		})
	}
	others.Go(func() { f.watch(ctx, cancel) })
	// Not waited for: nothing wakes a read of a terminal but a line.
	lines := make(chan typedLine)
	go f.read(ctx, lines)
	f.send(ctx, lines, cancel)
	<-ctx.Done()
	others.Wait()
	cause := context.Cause(ctx)
	if errors.Is(cause, errKilled) {
		f.print("Process got killed\n")
	}
	f.print("Exiting foreground\n")
	if errors.Is(cause, errKilled) || errors.Is(cause, errAllTyped) || errors.Is(cause, context.Canceled) {
		return nil
	}
	return cause
}

func (f *foreground) print(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprint(f.c.out, text)
}

// copy shows a log; two of them never mix within what came at once.
func (f *foreground) copy(log io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := log.Read(buffer)
		f.print(string(buffer[:n]))
		if err != nil {
			return
		}
	}
}

// watch notices that the run is over.
func (f *foreground) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	err := f.c.client.WatchFrom(ctx, f.seen, func(s client.Seen) error {
		if !s.Connected {
			return nil
		}
		p := s.Process(f.process)
		if p == nil || p.Owner == nil || p.Owner.Token != f.token || !p.State.IsSignallable() && p.State != api.Unknown {
			return errKilled
		}
		return nil
	})
	if err != nil {
		clock.Sleep(ctx, lastWords)
		cancel(err)
	}
}

// lastWords is how long what a process printed before its end may take to arrive.
const lastWords = 200 * time.Millisecond

// typedLine is a line, or why there is none any more.
type typedLine struct {
	text string
	err  error
}

// read takes lines that are typed.
func (f *foreground) read(ctx context.Context, lines chan<- typedLine) {
	in := bufio.NewReader(f.in)
	for {
		text, err := in.ReadString('\n')
		select {
		case lines <- typedLine{text, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// send hands lines to the process, until there are no more.
func (f *foreground) send(ctx context.Context, lines <-chan typedLine, cancel context.CancelCauseFunc) {
	for {
		var line typedLine
		select {
		case <-ctx.Done():
			return
		case line = <-lines:
		}
		if line.text != "" {
			if err := f.sendLine(ctx, line.text); err != nil {
				cancel(err)
				return
			}
		}
		if errors.Is(line.err, io.EOF) {
			line.err = errAllTyped
		}
		if line.err != nil {
			cancel(line.err)
			return
		}
	}
}

func (f *foreground) sendLine(ctx context.Context, line string) error {
	err := f.c.atMachine(ctx, f.machine, "the stdin of "+f.process, func(agent *rpc.Client) error {
		return askOnce(ctx, func(ctx context.Context) error { return agent.Stdin(ctx, f.process, f.token, []byte(line)) })
	})
	if errors.Is(err, rpc.ErrNotRunning) || errors.Is(err, rpc.ErrNotFound) {
		return errKilled
	}
	return err
}
