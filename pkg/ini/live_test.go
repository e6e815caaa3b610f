package ini

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// live is the oracle of the fuzz tests: a Python process beside each process of tests, which ends when the pipe
// from here does. Where there is no supervisor, inputs are tried without it, but not where CI=true.
var live liveOracle

type liveOracle struct {
	once    sync.Once
	missing string
	mu      sync.Mutex
	in      io.Writer
	out     *bufio.Reader
}

func (o *liveOracle) start() {
	if o.missing = noOracle(); o.missing != "" {
		return
	}
	cmd := exec.Command(python, filepath.Join("testdata", "oracle.py"), "--lines")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		var out io.ReadCloser
		if out, err = cmd.StdoutPipe(); err == nil {
			o.in, o.out = in, bufio.NewReaderSize(out, 1<<20)
			err = cmd.Start()
		}
	}
	if err != nil {
		o.missing = "start it: " + err.Error()
	}
}

// ask puts one question. It has to be UTF-8, which is all that reaches supervisor.
func (o *liveOracle) ask(t *testing.T, q question) {
	t.Helper()
	o.once.Do(o.start)
	if o.missing != "" && os.Getenv("CI") == "true" {
		t.Fatalf("no oracle: %s", o.missing)
	}
	if o.missing != "" || !utf8.ValidString(q.Text) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	line, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.in.Write(append(line, '\n')); err != nil {
		t.Fatalf("ask the oracle: %v", err)
	}
	text, err := o.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the oracle's answer: %v", err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("the oracle's answer: %v in %.200s", err, text)
	}
	q.check(t, a)
}

// readsLikePython is false for files with capitals whose small letters depend on the language or on their
// neighbours, where Go and Python differ in keys.
func readsLikePython(text string) bool {
	return !strings.ContainsAny(text, "\u0130\u03a3")
}

// oursAlone knows what we refuse to expand and Python does not: see Expand and maxWidth.
func oursAlone(err error) bool {
	return strings.Contains(err.Error(), "names no variable") || strings.Contains(err.Error(), "above 10000")
}
