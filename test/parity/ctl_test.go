package parity

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// realCtl is a supervisorctl that is asked again and again: testdata/ctl.py. It is asked by one goroutine at a time.
type realCtl struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startRealCtl(t *testing.T) (*realCtl, error) {
	c := &realCtl{cmd: exec.Command(python, filepath.Join("testdata", "ctl.py"))}
	c.cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	c.cmd.Stderr = os.Stderr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		c.in.Close()
		c.cmd.Wait()
	})
	return c, nil
}

// ask runs one line.
func (c *realCtl) ask(dir, stdin string, args []string) (answer, error) {
	var a answer
	question, err := json.Marshal(struct {
		Args  []string `json:"args"`
		Stdin string   `json:"stdin"`
		Dir   string   `json:"dir"`
	}{args, stdin, dir})
	if err != nil {
		return a, err
	}
	if _, err := c.in.Write(append(question, '\n')); err != nil {
		return a, fmt.Errorf("ask supervisorctl: %w", err)
	}
	said, err := c.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("the answer of supervisorctl: %w", err)
	}
	return a, json.Unmarshal(said, &a)
}
