package beside

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/ini"
)

func TestASupervisorIsFoundByWhatItsFileSays(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Process.Kill(); other.Wait() })
	if err := os.WriteFile(filepath.Join(dir, "d.pid"), fmt.Appendln(nil, other.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	const programs = "[program:a]\ncommand=a\n"
	for name, c := range map[string]struct{ text, want string }{
		"its pid file":        {"[supervisord]\npidfile=%(here)s/d.pid\n", fmt.Sprintf("sleep (pid %d) runs, as the pid file", other.Process.Pid)},
		"a relative pid file": {"[supervisord]\npidfile=d.pid\n", fmt.Sprintf("sleep (pid %d) runs, as the pid file", other.Process.Pid)},
		"a pid file of none":  {"[supervisord]\npidfile=none.pid\n", ""},
		"its socket":          {"[unix_http_server]\nfile=%(here)s/s.sock\n", "a server answers at"},
		"a socket of none":    {"[unix_http_server]\nfile=%(here)s/none.sock\n", ""},
		"nothing":             {"", ""},
	} {
		path := filepath.Join(dir, "d.conf")
		file, err := ini.Parse(path, c.text+programs)
		if err != nil {
			t.Fatal(err)
		}
		got, found := Of(file, path).Look()
		if found != (c.want != "") || !strings.Contains(got.Found, c.want) || found && got.Stop == "" {
			t.Errorf("%s: %+v, %v", name, got, found)
		}
	}
}
