//go:build linux

package beside

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

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/procfs"
	"github.com/distsuper/distsuper/pkg/spec"
)

// probeTime is how long a server may take to show that it is there.
const probeTime = 2 * time.Second

// Look finds the supervisor of the file, by its pid file or its servers.
func (f File) Look() (Supervisor, bool) {
	if pid := livingPID(f.Pidfile); pid != 0 {
		return Supervisor{fmt.Sprintf("%s (pid %d) runs, as the pid file %s says", commandOf(pid), pid, f.Pidfile), howToStop(pid)}, true
	}
	for _, server := range f.Servers {
		network, address := "unix", f.absolute(server.File)
		if server.File == "" {
			network, address = "tcp", net.JoinHostPort(orLoopback(server.Host), strconv.Itoa(server.Port))
		}
		if conn, err := net.DialTimeout(network, address, probeTime); err == nil {
			conn.Close()
			pid := supervisorPID(network, address, server.Username, server.Password)
			return Supervisor{fmt.Sprintf("%s answers at %s, as [%s] of %s says", who(pid), address, server.Section, f.Path), howToStop(pid)}, true
		}
	}
	network, address := localServer(f.ServerURL)
	if pid := supervisorPID(network, address, "", ""); pid != 0 {
		return Supervisor{fmt.Sprintf("%s answers at %s, as [supervisorctl] serverurl of %s says", who(pid), f.ServerURL, f.Path), howToStop(pid)}, true
	}
	return Supervisor{}, false
}

// Of is what a configuration file says of its supervisor. What is wrong in it is told by whoever reads its programs.
func Of(file *ini.File, path string) File {
	f := File{Path: path}
	if file == nil {
		return f
	}
	host, _ := os.Hostname()
	environ := map[string]string{}
	for _, v := range os.Environ() {
		if name, value, ok := strings.Cut(v, "="); ok {
			environ[name] = value
		}
	}
	o := spec.Options{Environ: environ, HostNode: host, LocalMachine: host}
	if section, ok := file.Section("supervisord"); ok {
		if _, written := section.Get("pidfile"); written {
			own, _, _ := spec.ReadSupervisord(file, o, spec.Paths{Home: home, IsDir: func(string) bool { return true }}, nil)
			f.Pidfile = f.absolute(own.Pidfile)
		}
	}
	if r, err := spec.Read(file, o); err == nil {
		f.Servers = r.Servers
		if ctl, ok := file.Section("supervisorctl"); ok && r.Ctl != nil {
			if _, written := ctl.Get("serverurl"); written {
				f.ServerURL = r.Ctl.ServerURL
			}
		}
	}
	return f
}

// absolute is a path as supervisord has it.
func (f File) absolute(path string) string {
	if strings.HasPrefix(path, "~/") {
		if dir, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(dir, path[2:])
		}
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.Path), path)
}

func home(name string) (string, error) {
	if name == "" {
		return os.UserHomeDir()
	}
	return "", fmt.Errorf("the home of %s is not looked up", name)
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
