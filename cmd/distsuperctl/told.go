package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// told is stdout while one command runs. It knows whether anything was said, and what kept it from being said.
type told struct {
	to  io.Writer
	any bool
	err error
	// words are what went to stderr because stdout is JSON's.
	words strings.Builder
}

func (t *told) Write(p []byte) (int, error) {
	n, err := t.to.Write(p)
	t.any = t.any || n > 0
	if t.err == nil {
		t.err = err
	}
	return n, err
}

// listen puts a told in the place of stdout, until the returned function puts it back.
func (c *ctl) listen() (t *told, stop func()) {
	t = &told{to: c.out}
	c.out, c.said = t, t
	return t, func() { c.out, c.said = t.to, nil }
}

// follows is said by a command that goes on until it is ended: nobody who has gone is followed for.
func (c *ctl) follows() {
	if c.said != nil {
		endWithReader(c.said.to)
	}
}

// failureDoc is what --json says of a command that failed before it had anything else to say. Its field names are for ever.
type failureDoc struct {
	Error    string `json:"error"`
	ExitCode int    `json:"exit_code"`
}

// conclude makes the end of a command whole: what could not be written is a failure, too, and --json is one document
// even when the command failed.
func (t *told) conclude(err error, json bool) error {
	if t.err != nil && !errors.Is(err, t.err) {
		lost := fmt.Errorf("what was done cannot be told: %w", t.err)
		if err != nil && err.Error() != "" {
			lost = fmt.Errorf("%w; %w", err, lost)
		}
		return &exitError{code: exitGeneric, err: lost}
	}
	if !json || err == nil || t.any || t.err != nil {
		return err
	}
	var why []string
	for _, text := range []string{t.words.String(), err.Error()} {
		if text = strings.TrimSpace(text); text != "" {
			why = append(why, text)
		}
	}
	if werr := printJSON(t.to, failureDoc{strings.Join(why, "; "), exitCode(err)}); werr != nil {
		return fmt.Errorf("what was done cannot be told: %w", werr)
	}
	return err
}
