package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// input hands out lines to the shell and to the command that is running. Nobody blocks in a read, so that a command that
// ends leaves the next line to its successor.
type input struct {
	mu   sync.Mutex
	from io.Reader
	read []byte // and not handed out yet
}

func newInput(from io.Reader) *input { return &input{from: from} }

// lookEvery is how often a waiting reader looks whether it is still wanted.
const lookEvery = 100 * time.Millisecond

// next is the next line without its end. Its error is that of ctx, or of the reader when nothing is left.
func (in *input) next(ctx context.Context) (string, error) {
	for {
		line, ok, err := in.take(ctx)
		if ok || err != nil {
			return line, err
		}
		ready(in.from, lookEvery)
	}
}

// take takes a line if one is there. The rest behind the last line end is a line, too.
func (in *input) take(ctx context.Context) (line string, ok bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return "", false, err
		}
		if before, after, found := bytes.Cut(in.read, []byte("\n")); found {
			in.read = after
			return string(bytes.TrimSuffix(before, []byte("\r"))), true, nil
		}
		if !ready(in.from, 0) {
			return "", false, nil
		}
		chunk := make([]byte, 4096)
		n, err := in.from.Read(chunk)
		in.read = append(in.read, chunk[:n]...)
		if err != nil && len(in.read) > 0 && n == 0 {
			line, in.read = string(in.read), nil
			return line, true, nil
		}
		if err != nil && n == 0 {
			return "", false, err
		}
	}
}

// settle returns when no reader whose context has ended is left. Where reads may block, it cannot tell.
func (in *input) settle() {
	if readsWait {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
}

// commandInput is the input of one command. It hands out a line at a time, so that a command that reads ahead takes no more than it
// is given, and nothing after it has ended.
type commandInput struct {
	ctx   context.Context
	typed *input
	rest  []byte
}

func (t *commandInput) Read(p []byte) (int, error) {
	if len(t.rest) == 0 {
		line, err := t.typed.next(t.ctx)
		if err != nil {
			if errors.Is(err, t.ctx.Err()) {
				err = io.EOF
			}
			return 0, err
		}
		t.rest = []byte(line + "\n")
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// width is that of a terminal, 0 for what is none or does not tell.
func width(f any) int {
	file, ok := f.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}
