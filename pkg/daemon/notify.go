//go:build linux

package daemon

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// readyEnv names the descriptor over which a daemon reports its progress to its starter.
const readyEnv = "DISTSUPER_READY_FD"

// report is one line on that descriptor.
type report struct {
	Kind string `json:"kind"` // progress, ready or failed
	Text string `json:"text,omitempty"`
	Code int    `json:"code,omitempty"`
}

// A Notifier reports to whoever started this daemon: the command that started it in the
// background, and systemd. With neither, its methods do nothing. It is safe for concurrent use.
type Notifier struct {
	mu      sync.Mutex
	pipe    *os.File // nil when nobody listens, or has been told the end
	systemd string
}

// NewNotifier takes over what the starter left in the environment and removes it from there, so that
// no child speaks in this daemon's name. It is to be called before anything is forked.
func NewNotifier() *Notifier {
	n := &Notifier{systemd: os.Getenv("NOTIFY_SOCKET")}
	fd, err := strconv.Atoi(os.Getenv(readyEnv))
	if err == nil && fd > 2 && isPipe(fd) {
		unix.CloseOnExec(fd)
		n.pipe = os.NewFile(uintptr(fd), "ready")
	}
	os.Unsetenv(readyEnv)
	os.Unsetenv("NOTIFY_SOCKET")
	return n
}

func isPipe(fd int) bool {
	var stat unix.Stat_t
	return unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFIFO
}

// Environ is what the next program in this process (Reexec) needs in its environment to have this Notifier, whose
// starter waits on. It is to be called just before.
func (n *Notifier) Environ() []string {
	var env []string
	if n.systemd != "" {
		env = append(env, "NOTIFY_SOCKET="+n.systemd)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pipe != nil {
		fd := n.pipe.Fd()
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err == nil {
			env = append(env, fmt.Sprintf("%s=%d", readyEnv, fd))
		}
	}
	return env
}

// Progress tells what the daemon is waiting for.
func (n *Notifier) Progress(text string) {
	n.send(report{Kind: "progress", Text: text}, "STATUS="+text)
}

// Ready tells that the daemon works. Its starter returns.
func (n *Notifier) Ready(text string) {
	n.send(report{Kind: "ready", Text: text}, "READY=1\nSTATUS="+text)
}

// Failed tells why the daemon ends before it was ready.
func (n *Notifier) Failed(err error) {
	n.send(report{Kind: "failed", Text: err.Error(), Code: Code(err)}, "STATUS="+err.Error())
}

// Stopping tells systemd that the end has begun.
func (n *Notifier) Stopping(text string) { n.toSystemd("STOPPING=1\nSTATUS=" + text) }

func (n *Notifier) send(r report, state string) {
	n.toSystemd(state)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pipe == nil {
		return
	}
	line, err := json.Marshal(r)
	if err != nil {
		return // three plain fields always encode
	}
	// A starter that has gone is no reason to fail.
	_, err = n.pipe.Write(append(line, '\n'))
	if err != nil || r.Kind != "progress" {
		n.pipe.Close()
		n.pipe = nil
	}
}

// toSystemd sends one datagram of the sd_notify protocol.
func (n *Notifier) toSystemd(state string) {
	if n.systemd == "" {
		return
	}
	name := n.systemd
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	// One STATUS line: what follows a line break would be read as another variable.
	head, status, _ := strings.Cut(state, "STATUS=")
	conn.Write([]byte(head + "STATUS=" + strings.ReplaceAll(status, "\n", "; ")))
}
