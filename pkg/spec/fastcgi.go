package spec

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// A FastCGI is what an [fcgi-program:x] section says. It does not run yet.
type FastCGI struct {
	Program api.Program `json:"program"`
	Socket  string      `json:"socket"`            // unix:///path or tcp://host:port
	Backlog int         `json:"backlog,omitempty"` // 0 is the system's
	// Owner is user or user:group of a unix socket; "" is the program's user. Mode is that of a unix socket.
	Owner string `json:"owner,omitempty"`
	Mode  int    `json:"mode,omitempty"`
}

// fastCGI reads an [fcgi-program:x] section.
func (r *reader) fastCGI(s *ini.Section, name string) {
	var out FastCGI
	extra := []option{
		{name: "socket", form: "unix:///path or tcp://host:port", required: true, set: into(&out.Socket, parseSocket)},
		{name: "socket_backlog", form: "a whole number from 1 to 65535", set: into(&out.Backlog, parseBacklog)},
		{name: "socket_owner", form: "user or user:group", set: into(&out.Owner, parseOwner)},
		{name: "socket_mode", form: "an octal number, as 0700", set: into(&out.Mode, parseMode)},
	}
	p, ok := r.kindOfProgram(s, name, extra)
	if strings.HasPrefix(out.Socket, "tcp:") {
		for _, key := range []string{"socket_owner", "socket_mode"} {
			if _, written := s.Get(key); written {
				r.failf(s, key, "is for a socket of unix:///path only; leave it out")
				ok = false
			}
		}
	} else if _, written := s.Get("socket_mode"); !written {
		out.Mode = 0o700
	}
	r.warn(s, "", "does not run: distsuper makes no FastCGI sockets yet")
	if ok {
		out.Program = p
		r.fastCGIs = append(r.fastCGIs, out)
	}
}

var tcpSocket = regexp.MustCompile(`^tcp://([^\s:]+):([0-9]+)$`)

// parseSocket returns the address as supervisor prints it.
func parseSocket(s string) (string, error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("the path %q of the socket is not absolute; write unix:///path", path)
		}
		return "unix://" + filepath.Clean(path), nil
	}
	m := tcpSocket.FindStringSubmatch(s)
	if m == nil {
		return "", fmt.Errorf("not a socket: %q; write unix:///path or tcp://host:port", s)
	}
	port, err := strconv.Atoi(m[2])
	if err != nil || port < 1 || port > 65535 {
		return "", fmt.Errorf("not a port: %q; write one from 1 to 65535", m[2])
	}
	return fmt.Sprintf("tcp://%s:%d", strings.ToLower(m[1]), port), nil
}

func parseBacklog(s string) (int, error) {
	n, err := ini.ParseInt(s)
	if err == nil && (n < 1 || n > 65535) {
		err = errors.New(s + " is not a backlog; write a whole number from 1 to 65535")
	}
	return n, err
}
