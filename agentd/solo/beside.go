package solo

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper/engine/procfs"
	"github.com/distsuper/distsuper/pkg/clock"
)

// probeTime is how long a server may take to show that it is there.
const probeTime = 2 * time.Second

// refuseBesideSupervisord keeps the programs of the file from running twice: here, and under a supervisord, or another daemon, that
// already serves the file. Its pid file or its servers give it away.
func (s *Settings) refuseBesideSupervisord() error {
	if pid := livingPID(s.Pidfile); pid != 0 {
		return usagef("%s (pid %d) runs, as the pid file %s says, and the programs would run twice; stop it first (%s)",
			commandOf(pid), pid, s.Pidfile, howToStop(pid))
	}
	for _, server := range s.servers {
		network, address := "unix", s.absolute(server.File)
		if server.File == "" {
			network, address = "tcp", net.JoinHostPort(orLoopback(server.Host), strconv.Itoa(server.Port))
		}
		if conn, err := net.DialTimeout(network, address, probeTime); err == nil {
			conn.Close()
			pid := supervisorPID(network, address, server.Username, server.Password)
			return usagef("%s answers at %s, as [%s] of %s says, and the programs would run twice; stop it first (%s)",
				who(pid), address, server.Section, s.File, howToStop(pid))
		}
	}
	network, address := localServer(s.serverURL)
	if pid := supervisorPID(network, address, "", ""); pid != 0 {
		return usagef("%s answers at %s, as [supervisorctl] serverurl of %s says, and the programs would run twice; stop it first (%s)",
			who(pid), s.serverURL, s.File, howToStop(pid))
	}
	return nil
}

// absolute is a socket's path as supervisord has it.
func (s *Settings) absolute(path string) string {
	if strings.HasPrefix(path, "~/") {
		if dir, err := home(""); err == nil {
			path = filepath.Join(dir, path[2:])
		}
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(s.File), path)
}

func orLoopback(host string) string {
	if host == "" || host == "*" {
		return "127.0.0.1"
	}
	return host
}

// livingPID is the process that wrote a pid file and lives, 0 for none. A process that is younger than the file has only the
// number of the one that wrote it, as after a reboot.
func livingPID(path string) int {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 || pid == os.Getpid() {
		return 0
	}
	p, ok := procfs.Read(pid)
	if !ok || p.Dead() || startedAt(p).After(info.ModTime().Add(time.Second)) {
		return 0
	}
	return pid
}

// startedAt is when a process was started, by the wall clock.
func startedAt(p procfs.Stat) time.Time {
	age := clock.Real{}.Now().Sub(clock.Instant(time.Duration(p.Start) * 10 * time.Millisecond))
	return time.Now().Add(-age)
}

// commandOf is the name of a process's program.
func commandOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if name := strings.TrimSpace(string(text)); err == nil && name != "" {
		return name
	}
	return "a process"
}

func who(pid int) string {
	if pid == 0 {
		return "a server"
	}
	return fmt.Sprintf("%s (pid %d)", commandOf(pid), pid)
}

// howToStop is the command that ends a daemon.
func howToStop(pid int) string {
	switch {
	case pid == 0:
		return "if it is supervisord: systemctl disable --now supervisor"
	case commandOf(pid) == "supervisord":
		return fmt.Sprintf("systemctl disable --now supervisor, or kill %d", pid)
	}
	return fmt.Sprintf("kill %d", pid)
}

// localServer is where the server of a URL is on this host; "" for one elsewhere.
func localServer(text string) (network, address string) {
	if path, ok := strings.CutPrefix(text, "unix://"); ok {
		return "unix", path
	}
	u, err := url.Parse(text)
	if err != nil || u.Port() == "" {
		return "", ""
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", ""
	}
	return "tcp", u.Host
}

var pidAnswer = regexp.MustCompile(`<(?:int|i4)>(\d+)</(?:int|i4)>`)

// supervisorPID asks a server, as supervisorctl does, which process it is; 0 when it does not say.
func supervisorPID(network, address, user, password string) int {
	if network == "" {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/RPC2",
		strings.NewReader("<?xml version='1.0'?><methodCall><methodName>supervisor.getPID</methodName><params></params></methodCall>"))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "text/xml")
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(nil, answer.Body, 64<<10)); err != nil {
		return 0
	}
	found := pidAnswer.FindSubmatch(body.Bytes())
	if found == nil {
		return 0
	}
	pid, err := strconv.Atoi(string(found[1]))
	if err != nil {
		return 0
	}
	return pid
}
