package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/peterh/liner"
)

// editor reads lines from the terminal, with the keys of readline, history and completion. While a command runs the
// terminal is as it was found: Ctrl-C is a signal, and what a command asks is answered in a line.
type editor struct {
	state   *liner.State
	history *history
	// found is the terminal's mode before, editing the one in between.
	found, editing liner.ModeApplier
}

func newEditor(h *history, complete liner.WordCompleter) (*editor, error) {
	found, err := liner.TerminalMode()
	if err != nil {
		return nil, fmt.Errorf("read the terminal's mode: %w", err)
	}
	e := &editor{state: liner.NewLiner(), history: h, found: found}
	if e.editing, err = liner.TerminalMode(); err != nil {
		e.close()
		return nil, fmt.Errorf("read the terminal's mode: %w", err)
	}
	e.state.SetCtrlCAborts(true)
	e.state.SetTabCompletionStyle(liner.TabPrints)
	e.state.SetWordCompleter(complete)
	for _, line := range h.lines {
		e.state.AppendHistory(line)
	}
	return e, nil
}

// beginning is how long the library may take to set the terminal's mode when it begins to read: before that, setting
// it back would come too early.
const beginning = 50 * time.Millisecond

// next reads a line. When ctx ends the terminal is left as it was found, and the editor cannot be used any more.
func (e *editor) next(ctx context.Context, prompt string) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err := e.editing.ApplyMode(); err != nil {
		return "", err
	}
	type answer struct {
		line string
		err  error
	}
	read := make(chan answer, 1)
	go func() { // the library's read cannot be ended; the program does
		line, err := e.state.Prompt(prompt)
		read <- answer{line, err}
	}()
	var a answer
	select {
	case a = <-read:
	case <-ctx.Done():
		a.err = ctx.Err()
		time.Sleep(beginning)
	}
	if err := e.found.ApplyMode(); err != nil {
		return "", err
	}
	if errors.Is(a.err, liner.ErrPromptAborted) {
		return "", errInterrupted
	}
	if a.err == nil && e.history.add(a.line) {
		e.state.AppendHistory(a.line)
	}
	return a.line, a.err
}

func (e *editor) close() {
	e.state.Close()
	_ = e.found.ApplyMode() // the terminal may be gone
}
