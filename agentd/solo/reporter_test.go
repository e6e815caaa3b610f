package solo

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/agentd/solo/mainlog"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

// tempLog is a main log, and what it has, without the times.
func tempLog(t *testing.T, level ini.Level) (*mainlog.Log, func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	l, err := mainlog.Open(spec.Supervisord{Logfile: path, Loglevel: level, Nodaemon: true, Silent: true})
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

func proc(name string, priority int) api.Process {
	return api.Process{Group: name, Name: name, GroupPriority: priority, Settings: api.Settings{StartSecs: 3}}
}

func TestMessagesAreSupervisors(t *testing.T) {
	a := proc("a", 1)
	exited, killed, core := unix.WaitStatus(0x200), unix.WaitStatus(9), unix.WaitStatus(0x80|11)
	for _, c := range []struct {
		change engine.Change
		want   string
	}{
		{engine.Change{Kind: engine.Spawned, Process: a, PID: 7}, "INFO spawned: 'a' with pid 7"},
		{engine.Change{Kind: engine.NotSpawned, Process: a, Text: "can't find command '/x'"}, "INFO spawnerr: can't find command '/x'"},
		{engine.Change{Kind: engine.Started, Process: a}, "INFO success: a entered RUNNING state, process has stayed up for > than 3 seconds (startsecs)"},
		{engine.Change{Kind: engine.Ending, Process: a}, "INFO waiting for a to stop"},
		{engine.Change{Kind: engine.Killing, Process: a, PID: 7}, "WARN killing 'a' (7) with SIGKILL"},
		{engine.Change{Kind: engine.Exited, Process: a, Status: exited, Expected: true}, "INFO exited: a (exit status 2; expected)"},
		{engine.Change{Kind: engine.Exited, Process: a, Status: exited}, "WARN exited: a (exit status 2; not expected)"},
		{engine.Change{Kind: engine.Exited, Process: a, Status: exited, Expected: true, Quick: true}, "WARN exited: a (exit status 2; not expected)"},
		{engine.Change{Kind: engine.Exited, Process: a, Status: core}, "WARN exited: a (terminated by SIGSEGV (core dumped); not expected)"},
		{engine.Change{Kind: engine.Stopped, Process: a, Status: killed}, "WARN stopped: a (terminated by SIGKILL)"},
		{engine.Change{Kind: engine.Stopped, Process: a, Status: 0, Expected: true}, "INFO stopped: a (exit status 0)"},
		{engine.Change{Kind: engine.GaveUp, Process: a}, "INFO gave up: a entered FATAL state, too many start retries too quickly"},
		{engine.Change{Kind: engine.Reaped, PID: 9, Status: exited}, "INFO reaped unknown pid 9 (exit status 2)"},
		{engine.Change{Kind: engine.CalledOff, Process: a}, "???? "},
	} {
		level, text := message(c.change)
		if got := level.Code() + " " + text; got != c.want {
			t.Errorf("%+v\nis logged as %q, want %q", c.change, got, c.want)
		}
	}
}

func TestStopSignalsAreLoggedAtDebug(t *testing.T) {
	l, lines := tempLog(t, ini.LevelDebug)
	r := newReporter(l, spec.ExitNever, false, func(string) {})
	a := proc("a", 1)
	a.StopSignal = "TERM"
	r.report(engine.Change{Kind: engine.Ending, Process: a, PID: 7})
	b := proc("b", 1)
	b.StopSignal, b.StopAsGroup = "QUIT", true
	r.report(engine.Change{Kind: engine.Ending, Process: b, PID: 8})
	r.close()
	if got, want := lines(), []string{"DEBG killing a (pid 7) with signal SIGTERM", "INFO waiting for a to stop",
		"DEBG killing b (pid 8) process group with signal SIGQUIT", "INFO waiting for b to stop"}; !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestExitOnEndsItOnceAndForItsReasonOnly(t *testing.T) {
	a := proc("a", 1)
	for _, c := range []struct {
		on     spec.ExitOn
		change engine.Change
		ends   bool
	}{
		{spec.ExitNever, engine.Change{Kind: engine.GaveUp, Process: a}, false},
		{spec.ExitFatal, engine.Change{Kind: engine.GaveUp, Process: a}, true},
		{spec.ExitFatal, engine.Change{Kind: engine.Exited, Process: a}, false},
		{spec.ExitAny, engine.Change{Kind: engine.GaveUp, Process: a}, true},
		{spec.ExitAny, engine.Change{Kind: engine.Exited, Process: a, Expected: true}, true},
		{spec.ExitAny, engine.Change{Kind: engine.Exited, Process: a, Quick: true}, false},
		{spec.ExitAny, engine.Change{Kind: engine.Stopped, Process: a}, false},
	} {
		l, _ := tempLog(t, ini.LevelInfo)
		ended := 0
		r := newReporter(l, c.on, false, func(string) { ended++ })
		r.report(engine.Change{Kind: engine.Spawned, Process: a})
		r.report(c.change)
		r.report(c.change)
		r.close()
		if want := map[bool]int{true: 1, false: 0}[c.ends]; ended != want {
			t.Errorf("exit_on %s, change %d: it ended %d times, want %d", c.on, c.change.Kind, ended, want)
		}
	}
}

func TestShutdownSaysWhatItWaitsFor(t *testing.T) {
	l, lines := tempLog(t, ini.LevelInfo)
	r := newReporter(l, spec.ExitNever, false, nil)
	for _, p := range []api.Process{proc("late", 9), proc("early", 1), proc("gone", 5)} {
		r.report(engine.Change{Kind: engine.Spawned, Process: p, PID: 3})
	}
	r.report(engine.Change{Kind: engine.Exited, Process: proc("gone", 5), Expected: true})
	r.shutdown()
	r.report(engine.Change{Kind: engine.Ending, Process: proc("late", 9)})
	r.close()
	got := lines()
	if slices.Contains(got, "INFO waiting for late to stop") {
		t.Errorf("it logs a single one: %q", got)
	}
	r = newReporter(l, spec.ExitNever, false, nil)
	r.report(engine.Change{Kind: engine.Spawned, Process: proc("late", 9), PID: 3})
	r.report(engine.Change{Kind: engine.Spawned, Process: proc("early", 1), PID: 3})
	r.shutdown()
	r.close()
	if last := lines()[len(lines())-1]; last != "INFO waiting for early, late to die" {
		t.Errorf("it says %q", last)
	}
}
