package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/peterh/liner"
	"github.com/spf13/pflag"

	"github.com/distsuper/distsuper/pkg/ini"
)

// shell runs the lines that are typed, or that come by a pipe, each by commands of its own: no flag of one reaches the
// next. Only the open store stays, and the flags with which distsuperctl was started. It exits with 0 whatever its
// commands did, as supervisorctl does.
type shell struct {
	c *ctl
	// flags stand before those of every line: how distsuperctl was started, but for what open changed.
	flags []string
	json  bool
	// prompted is true when lines are asked for: on a terminal and with -i, not of a script in a pipe.
	prompted bool
	prompt   string
	exited   bool // by the exit command
	offer    offer
}

// lines is where the next line comes from. Its end is io.EOF; errInterrupted is Ctrl-C before the line was done.
type lines interface {
	next(ctx context.Context, prompt string) (string, error)
	close()
}

var errInterrupted = errors.New("interrupted")

// newShell is the shell of a distsuperctl that was started with these flags.
func newShell(c *ctl, flags *pflag.FlagSet) *shell {
	s := &shell{c: c, json: c.json, prompted: c.interactive, prompt: "distsuper> "}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed && f.Name != "json" && f.Name != "interactive" && !isLegacy(f.Name) {
			s.flags = append(s.flags, "--"+f.Name+"="+f.Value.String())
		}
	})
	return s
}

// run shows the status, as supervisorctl does, and then runs lines until there are no more or ctx ends.
func (s *shell) run(ctx context.Context, typed *input) int {
	s.prompted = s.prompted || isTerminal(typed.from)
	s.command(ctx, typed, []string{"status"})
	from := s.source(typed)
	defer from.close()
	for {
		s.forgetInterrupt()
		line, err := from.next(ctx, s.prompt)
		switch {
		case ctx.Err() != nil:
			return exitGeneric
		case errors.Is(err, errInterrupted):
			continue
		case errors.Is(err, io.EOF):
			if s.prompted {
				fmt.Fprintln(s.c.out)
			}
			return exitOK
		case err != nil:
			return s.c.printError(fmt.Errorf("read what is typed: %w", err))
		}
		if s.line(ctx, typed, line); s.exited {
			if s.prompted && !s.c.terminal { // as supervisorctl does; on a terminal the line has ended
				fmt.Fprintln(s.c.out)
			}
			return exitOK
		}
	}
}

// source is an editor where somebody types at a terminal that can have one.
func (s *shell) source(typed *input) lines {
	// The editor knows only the program's own terminal, and needs its width.
	if typed.from == os.Stdin && s.c.out == os.Stdout && isTerminal(os.Stdin) && width(s.c.out) > 0 && liner.TerminalSupported() {
		e, err := newEditor(openHistory(s.c.cfg, s.c.warnf), s.complete)
		if err == nil {
			return e
		}
		s.c.warnf("lines cannot be edited here: %v", err)
	}
	return &plain{c: s.c, typed: typed, prompted: s.prompted}
}

// forgetInterrupt drops a Ctrl-C that came when no command was running any more.
func (s *shell) forgetInterrupt() {
	select {
	case <-s.c.interrupts:
	default:
	}
}

// line runs one line.
func (s *shell) line(ctx context.Context, typed *input, line string) {
	line = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(line, "?"); ok { // as in supervisorctl
		line = "help " + rest
	}
	words, err := ini.Split(line)
	if err != nil {
		s.c.printError(fmt.Errorf("%s: %w", line, err))
		return
	}
	if len(words) > 0 {
		s.command(ctx, typed, words)
	}
}

// command runs a command line.
func (s *shell) command(ctx context.Context, typed *input, words []string) {
	s.ready()
	s.c.once(ctx, typed, append(s.flags[:len(s.flags):len(s.flags)], words...))
	if s.c.cfg != nil {
		s.prompt = printable(s.c.cfg.Ctl.Prompt) + "> "
	}
}

// ready drops what belongs to one line only. That includes the configuration, whose file may change between two lines.
func (s *shell) ready() {
	s.c.cfg, s.c.json, s.c.interactive = nil, s.json, true
	s.offer = offer{}
}

// printable is text without control characters.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.C, r) {
			return -1
		}
		return r
	}, text)
}

// interruptible returns a context that Ctrl-C ends, and a function to call when the work is done.
func (c *ctl) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if c.interrupts == nil {
		return ctx, cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-c.interrupts:
			if c.terminal { // it shows ^C, and what comes next begins a line
				fmt.Fprintln(c.err)
			}
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// plain reads lines as they come, by a pipe or from a terminal that has no editor.
type plain struct {
	c        *ctl
	typed    *input
	prompted bool
}

func (p *plain) next(ctx context.Context, prompt string) (string, error) {
	if p.prompted {
		fmt.Fprint(p.c.out, prompt)
	}
	reading, stop := p.c.interruptible(ctx)
	defer stop()
	line, err := p.typed.next(reading)
	if err != nil && ctx.Err() == nil && reading.Err() != nil {
		return "", errInterrupted
	}
	return line, err
}

func (p *plain) close() {}
