//go:build linux

package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Command is a daemon to start in the background.
type Command struct {
	// Name is how messages call it.
	Name string
	// Args are the arguments of this very binary, such as "run". Path is another binary, for tests.
	Path string
	Args []string
	// Env is the whole environment; nil is this process's.
	Env []string
	// Log is the file that gets its stdout and stderr.
	Log string
	// Progress, which may be nil, is called with what the daemon waits for.
	Progress func(text string)
}

// PendingError says that a daemon which was started is not ready in time. It goes on in the background.
type PendingError struct {
	Name       string
	WaitingFor string
	PID        int
	Log        string
}

func (e *PendingError) Error() string {
	return fmt.Sprintf("%s is not ready yet: %s; it goes on trying in the background (pid %d, log %s)", e.Name, e.WaitingFor, e.PID, e.Log)
}

// Spawn starts the daemon in a session of its own and waits until it says that it is ready, or has
// failed. It returns the daemon's pid and what it said. The error is the daemon's own reason with
// its exit code, or the end of its log when it died without a word. When ctx ends first, the daemon
// is left running and the error is a *PendingError.
func Spawn(ctx context.Context, c Command) (pid int, message string, err error) {
	log, err := openLog(c.Log)
	if err != nil {
		return 0, "", fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		from = 0 // a log that is no file has no end to show
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, "", fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer reader.Close()
	cmd, err := c.command(log, writer)
	if err == nil {
		err = cmd.Start()
	}
	writer.Close() // or the daemon's end would not be the end of the pipe
	if err != nil {
		return 0, "", fmt.Errorf("start %s: %w", c.Name, err)
	}
	pid = cmd.Process.Pid // Release makes it -1, which kill(2) takes for everybody
	message, err = c.await(ctx, cmd, reader, from)
	return pid, message, err
}

// Reexec replaces this program by itself, in the same process, with more in its environment. It returns only when it
// fails. Descriptors stay as close-on-exec says; pid file locks do not, so Release them before.
func Reexec(args []string, more ...string) error {
	env := append(os.Environ(), more...)
	if exe, err := os.Executable(); err == nil {
		_ = syscall.Exec(exe, args, env) // by its name it may be a newer one
	}
	// The user that it has become may not get there, or it was removed.
	return fmt.Errorf("execute this program again: %w", syscall.Exec("/proc/self/exe", args, env))
}

func (c Command) command(log, ready *os.File) (*exec.Cmd, error) {
	path := c.Path
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(path, c.Args...)
	cmd.Env = c.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, readyEnv+"=3")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{ready}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// await reads the daemon's reports to the one that decides.
func (c Command) await(ctx context.Context, cmd *exec.Cmd, reader *os.File, from int64) (string, error) {
	reports := make(chan report)
	stop := context.AfterFunc(ctx, func() { reader.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	go read(reader, reports)
	waitingFor := ""
	for r := range reports {
		switch r.Kind {
		case "ready":
			return r.Text, cmd.Process.Release()
		case "failed":
			_ = cmd.Wait() // its own words say more than its exit status
			return "", &ExitError{Code: r.Code, Err: errors.New(r.Text)}
		default:
			waitingFor = r.Text
			if c.Progress != nil {
				c.Progress(r.Text)
			}
		}
	}
	if ctx.Err() != nil {
		if waitingFor == "" {
			waitingFor = "it has not said what it waits for"
		}
		return "", &PendingError{Name: c.Name, WaitingFor: waitingFor, PID: cmd.Process.Pid, Log: c.Log}
	}
	return "", fmt.Errorf("%s ended before it was ready: %s%s", c.Name, ending(cmd), tail(c.Log, from))
}

func ending(cmd *exec.Cmd) string {
	if err := cmd.Wait(); err != nil {
		return err.Error()
	}
	return "exit status 0"
}

// read sends each report and closes the channel at the end of the pipe.
func read(reader io.Reader, to chan<- report) {
	defer close(to)
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue
		}
		to <- r
		if r.Kind != "progress" {
			return
		}
	}
}

// openLog opens a log file for appending. What stands there may hold secrets of programs.
func openLog(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the log: %w", err)
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// tail is what was written to the log since, at most its last ten lines.
func tail(name string, from int64) string {
	file, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size()-from > 8<<10 {
		from = info.Size() - 8<<10
	}
	text, err := io.ReadAll(io.NewSectionReader(file, from, 8<<10))
	text = bytes.TrimSpace(text)
	if err != nil || len(text) == 0 {
		return "; " + name + " has nothing of it"
	}
	lines := strings.Split(string(text), "\n")
	return "; the end of " + name + ":\n" + strings.Join(lines[max(0, len(lines)-10):], "\n")
}
