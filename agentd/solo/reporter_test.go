package solo

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
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

// What a keeper tells of a process: spawned as the pid, into another state, at its end.
func spawned(pid int) keeper.Transition {
	return keeper.Transition{Kind: keeper.CopySpawned, From: api.Starting, To: api.Starting, PID: pid}
}

func into(s api.State, pid int) keeper.Transition {
	return keeper.Transition{Kind: keeper.StateChanged, To: s, PID: pid}
}

func ended(from api.State, exit int, signal string, expected bool) keeper.Transition {
	return keeper.Transition{Kind: keeper.CopyEnded, From: from, To: from, Exit: &exit, Signal: signal, Expected: expected}
}

func TestMessagesAreSupervisors(t *testing.T) {
	a := proc("a", 1)
	quick, dumped, refused := ended(api.Starting, 2, "", true), ended(api.Running, -1, "SIGSEGV", false), into(api.Fatal, 0)
	quick.Quick, dumped.CoreDumped, refused.Cause = true, true, keeper.CauseRefused
	for _, c := range []struct {
		transition keeper.Transition
		want       string
	}{
		{spawned(7), "INFO spawned: 'a' with pid 7"},
		{keeper.Transition{Kind: keeper.CopyNotSpawned, Reason: "can't find command '/x'"}, "INFO spawnerr: can't find command '/x'"},
		{into(api.Running, 7), "INFO success: a entered RUNNING state, process has stayed up for > than 3 seconds (startsecs)"},
		{into(api.Stopping, 7), "INFO waiting for a to stop"},
		{keeper.Transition{Kind: keeper.KillSent, PID: 7}, "WARN killing 'a' (7) with SIGKILL"},
		{ended(api.Running, 2, "", true), "INFO exited: a (exit status 2; expected)"},
		{ended(api.Running, 2, "", false), "WARN exited: a (exit status 2; not expected)"},
		{quick, "WARN exited: a (exit status 2; not expected)"},
		{dumped, "WARN exited: a (terminated by SIGSEGV (core dumped); not expected)"},
		{ended(api.Stopping, -1, "SIGKILL", false), "WARN stopped: a (terminated by SIGKILL)"},
		{ended(api.Unknown, -1, "signal 40", false), "WARN stopped: a (terminated by signal 40)"},
		{ended(api.Stopping, 0, "", true), "INFO stopped: a (exit status 0)"},
		{into(api.Fatal, 0), "INFO gave up: a entered FATAL state, too many start retries too quickly"},
		{refused, "INFO gave up: a entered FATAL state, it cannot be started here"},
		{into(api.Stopped, 0), "???? "},
		{into(api.Backoff, 7), "???? "},
		{into(api.Exited, 7), "???? "},
	} {
		level, text := message(c.transition, a)
		if got := level.Code() + " " + text; got != c.want {
			t.Errorf("%+v\nis logged as %q, want %q", c.transition, got, c.want)
		}
	}
}

func TestOrphansAreLoggedByTheFirstProcessOnly(t *testing.T) {
	for _, first := range []bool{false, true} {
		l, lines := tempLog(t, ini.LevelInfo)
		r := newReporter(l, spec.ExitNever, first, func(string) {})
		end := ended(api.Stopped, 2, "", false)
		end.PID = 9
		r.reportOrphan(end)
		r.close()
		if got := slices.Contains(lines(), "INFO reaped unknown pid 9 (exit status 2)"); got != first {
			t.Errorf("as the first process (%v) it logs %q", first, lines())
		}
	}
}

func TestStopSignalsAreLoggedAtDebug(t *testing.T) {
	l, lines := tempLog(t, ini.LevelDebug)
	r := newReporter(l, spec.ExitNever, false, func(string) {})
	a := proc("a", 1)
	a.StopSignal = "TERM"
	r.report(into(api.Stopping, 7), a)
	b := proc("b", 1)
	b.StopSignal, b.StopAsGroup = "QUIT", true
	r.report(into(api.Stopping, 8), b)
	r.close()
	if got, want := lines(), []string{"DEBG killing a (pid 7) with signal SIGTERM", "INFO waiting for a to stop",
		"DEBG killing b (pid 8) process group with signal SIGQUIT", "INFO waiting for b to stop"}; !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestExitOnEndsItOnceAndForItsReasonOnly(t *testing.T) {
	a := proc("a", 1)
	quick := ended(api.Starting, 1, "", false)
	quick.Quick = true
	for _, c := range []struct {
		on         spec.ExitOn
		transition keeper.Transition
		ends       bool
	}{
		{spec.ExitNever, into(api.Fatal, 0), false},
		{spec.ExitFatal, into(api.Fatal, 0), true},
		{spec.ExitFatal, ended(api.Running, 1, "", false), false},
		{spec.ExitAny, into(api.Fatal, 0), true},
		{spec.ExitAny, ended(api.Running, 0, "", true), true},
		{spec.ExitAny, quick, false},
		{spec.ExitAny, ended(api.Stopping, 0, "", true), false},
	} {
		l, _ := tempLog(t, ini.LevelInfo)
		ends := 0
		r := newReporter(l, c.on, false, func(string) { ends++ })
		r.report(spawned(3), a)
		r.report(c.transition, a)
		r.report(c.transition, a)
		r.close()
		if want := map[bool]int{true: 1, false: 0}[c.ends]; ends != want {
			t.Errorf("exit_on %s, %+v: it ended %d times, want %d", c.on, c.transition, ends, want)
		}
	}
}

func TestShutdownSaysWhatItWaitsFor(t *testing.T) {
	l, lines := tempLog(t, ini.LevelInfo)
	r := newReporter(l, spec.ExitNever, false, nil)
	for _, p := range []api.Process{proc("late", 9), proc("early", 1), proc("gone", 5)} {
		r.report(spawned(3), p)
	}
	r.report(ended(api.Running, 0, "", true), proc("gone", 5))
	r.shutdown()
	r.report(into(api.Stopping, 3), proc("late", 9))
	r.close()
	got := lines()
	if slices.Contains(got, "INFO waiting for late to stop") {
		t.Errorf("it logs a single one: %q", got)
	}
	r = newReporter(l, spec.ExitNever, false, nil)
	r.report(spawned(3), proc("late", 9))
	r.report(spawned(3), proc("early", 1))
	r.shutdown()
	r.close()
	if last := lines()[len(lines())-1]; last != "INFO waiting for early, late to die" {
		t.Errorf("it says %q", last)
	}
}
