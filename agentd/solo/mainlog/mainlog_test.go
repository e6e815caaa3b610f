package mainlog

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

func tempLog(t *testing.T, level ini.Level) (*Log, func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(spec.Supervisord{Logfile: path, Loglevel: level, Nodaemon: true, Silent: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} `)
	return l, func() (lines []string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !stamp.MatchString(line) {
				t.Errorf("a line without supervisor's time: %q", line)
			}
			lines = append(lines, strings.TrimSpace(stamp.ReplaceAllString(line, "")))
		}
		return lines
	}
}

func TestComponentsAreLoggedFromWarningsOn(t *testing.T) {
	l, lines := tempLog(t, ini.LevelInfo)
	log := l.Logger().Named("agent")
	log.Info("not this")
	log.Warn("this", zap.String("process", "a"))
	log.With(zap.Int("n", 1)).Error("and this")
	l.SetStopping()
	log.Warn("not at the end")
	want := []string{`WARN agent: this: {"process": "a"}`, `ERRO agent: and this: {"n": 1}`}
	if got := lines(); !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

func TestLogIsRotatedAsSupervisorDoes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	r, err := openRotating(path, 10, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.file.Close()
	for _, line := range []string{"1234567890\n", "2\n", "abcdefghij\n", "3\n", "klmnopqrst\n", "4\n"} {
		if err := r.write(line); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"log": "4\n", "log.1": "3\nklmnopqrst\n", "log.2": "2\nabcdefghij\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q (%v), want %q", name, got, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "log.3")); err == nil {
		t.Error("there is one backup too many")
	}
}

func TestLogGoesToSyslogAndItDoesWithoutOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := &Log{sys: newSyslog(path)}
	l.Printf(ini.LevelWarn, "nobody is there to be told")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	next := func(wait time.Duration) string {
		message := make([]byte, 1000)
		conn.SetReadDeadline(time.Now().Add(wait))
		n, _ := conn.Read(message)
		return string(message[:n])
	}
	l.Printf(ini.LevelWarn, "first\nsecond")
	for _, want := range []string{"nobody is there to be told", "first", "second"} {
		if got := next(30 * time.Second); !strings.HasPrefix(got, "<14>") || !strings.Contains(got, " "+SyslogTag+": ") || !strings.HasSuffix(got, want) {
			t.Errorf("syslog is told %q, want %q", got, want)
		}
	}
	l.Close()
	l.Printf(ini.LevelWarn, "after the end") // and nothing happens
}
