//go:build linux

package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Earlier is a running daemon as it was started, so that it can be started again should its successor fail. It stays what it was when its
// file is replaced.
type Earlier struct {
	exe  *os.File
	args []string
	env  []string
}

// Remember remembers the daemon with this pid.
func Remember(pid int) (*Earlier, error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	args, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return nil, fmt.Errorf("read how pid %d was started: %w", pid, err)
	}
	env, err := os.ReadFile(filepath.Join(proc, "environ"))
	if err != nil {
		return nil, fmt.Errorf("read how pid %d was started: %w", pid, err)
	}
	exe, err := os.Open(filepath.Join(proc, "exe"))
	if err != nil {
		return nil, fmt.Errorf("read how pid %d was started: %w", pid, err)
	}
	return &Earlier{exe, words(args), words(env)}, nil
}

func words(text []byte) []string {
	var all []string
	for _, w := range bytes.Split(bytes.TrimSuffix(text, []byte{0}), []byte{0}) {
		all = append(all, string(w))
	}
	return all
}

// Start starts it again, as Spawn does.
func (e *Earlier) Start(ctx context.Context, name, log string) (pid int, message string, err error) {
	return Spawn(ctx, Command{Name: name, Path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), e.exe.Fd()), Args: e.args[1:], Env: e.env, Log: log})
}

// Close forgets it.
func (e *Earlier) Close() { e.exe.Close() }

// Unit is the systemd service of which a process is the main one, "" for none.
func Unit(ctx context.Context, pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for _, unit := range services(string(text)) {
		out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=MainPID", "--value", unit).Output()
		if err == nil && strings.TrimSpace(string(out)) == strconv.Itoa(pid) {
			return unit
		}
	}
	return ""
}

// services are the names of services in the text of a cgroup file. Being in one's control group does not make a process its own: a shell's
// children are in that of the login.
func services(text string) []string {
	var units []string
	for line := range strings.Lines(text) {
		for _, part := range strings.Split(strings.TrimSpace(line), "/") {
			if strings.HasSuffix(part, ".service") {
				units = append(units, part)
			}
		}
	}
	return units
}
