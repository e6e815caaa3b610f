//go:build linux

package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Verdict is what a program that was asked whether it could start prints, as one line of JSON. Its field names do not change.
type Verdict struct {
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
	// Code is the exit code with which it would end.
	Code int `json:"code,omitempty"`
}

// VerdictOf is that of an error, nil for none.
func VerdictOf(err error) Verdict {
	if err == nil {
		return Verdict{OK: true}
	}
	return Verdict{Problem: err.Error(), Code: Code(err)}
}

// Ask runs this program, which may be a newer one by now, with arguments and an environment by which it prints a Verdict. The error is
// what it would end with if it were started.
func Ask(ctx context.Context, args []string, env ...string) error {
	path, err := os.Executable()
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		path = "/proc/self/exe" // it was removed
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &said
	ended := cmd.Run()
	var v Verdict
	switch err := json.Unmarshal(out.Bytes(), &v); {
	case err != nil:
		return fmt.Errorf("%s does not say whether it could start: %w", path, errors.Join(ended, errors.New(lastLines(said.String()))))
	case !v.OK:
		return &ExitError{Code: v.Code, Err: errors.New(v.Problem)}
	}
	return nil
}

// lastLines are the last few lines of what a program said.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// CheckLog reports why a log file could not be written. One without room is none: a daemon works without its log.
func CheckLog(name string) error {
	file, err := openLog(name)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	return file.Close()
}
