package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// outputRecorder is stdout while one command runs. It knows whether anything was written, and the first error of writing.
type outputRecorder struct {
	to  io.Writer
	any bool
	err error
	// words are what went to stderr because stdout is JSON's.
	words strings.Builder
}

func (r *outputRecorder) Write(p []byte) (int, error) {
	n, err := r.to.Write(p)
	r.any = r.any || n > 0
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// recordOutput puts an outputRecorder in the place of stdout, until the returned function puts it back.
func (c *ctl) recordOutput() (r *outputRecorder, stop func()) {
	r = &outputRecorder{to: c.out}
	c.out, c.recorder = r, r
	return r, func() { c.out, c.recorder = r.to, nil }
}

// follows is called by a command that goes on until it is ended: it ends when the reader of its output has gone.
func (c *ctl) follows() {
	if c.recorder != nil {
		endWithReader(c.recorder.to)
	}
}

// failureDoc is what --json says of a command that failed before it had anything else to say. Its field names are for ever.
type failureDoc struct {
	Error    string `json:"error"`
	ExitCode int    `json:"exit_code"`
}

// conclude turns the error of a command into its final one: output that could not be written is a failure, too, and --json
// is one document even when the command failed.
func (r *outputRecorder) conclude(err error, json bool) error {
	if r.err != nil && !errors.Is(err, r.err) {
		lost := fmt.Errorf("the result cannot be printed: %w", r.err)
		if err != nil && err.Error() != "" {
			lost = fmt.Errorf("%w; %w", err, lost)
		}
		return &exitError{code: exitGeneric, err: lost}
	}
	if !json || err == nil || r.any || r.err != nil {
		return err
	}
	var why []string
	for _, text := range []string{r.words.String(), err.Error()} {
		if text = strings.TrimSpace(text); text != "" {
			why = append(why, text)
		}
	}
	if werr := printJSON(r.to, failureDoc{strings.Join(why, "; "), exitCode(err)}); werr != nil {
		return fmt.Errorf("the result cannot be printed: %w", werr)
	}
	return err
}
