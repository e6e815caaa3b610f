package solo

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

func tempJournal(t *testing.T, level ini.Level) (*journal, func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	j, err := openJournal(spec.Supervisord{Logfile: path, Loglevel: level, Nodaemon: true, Silent: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.close)
	stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} `)
	return j, func() (lines []string) {
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

func TestSentencesAreSupervisors(t *testing.T) {
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
		level, text := sentence(c.change)
		if got := level.Code() + " " + text; got != c.want {
			t.Errorf("%+v\nis told as %q, want %q", c.change, got, c.want)
		}
	}
}

func TestStopSignalsAreToldAtDebug(t *testing.T) {
	j, lines := tempJournal(t, ini.LevelDebug)
	s := newStory(j, spec.ExitNever, false, func(string) {})
	a := proc("a", 1)
	a.StopSignal = "TERM"
	s.hear(engine.Change{Kind: engine.Ending, Process: a, PID: 7})
	b := proc("b", 1)
	b.StopSignal, b.StopAsGroup = "QUIT", true
	s.hear(engine.Change{Kind: engine.Ending, Process: b, PID: 8})
	s.close()
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
		j, _ := tempJournal(t, ini.LevelInfo)
		ended := 0
		s := newStory(j, c.on, false, func(string) { ended++ })
		s.hear(engine.Change{Kind: engine.Spawned, Process: a})
		s.hear(c.change)
		s.hear(c.change)
		s.close()
		if want := map[bool]int{true: 1, false: 0}[c.ends]; ended != want {
			t.Errorf("exit_on %s, change %d: it ended %d times, want %d", c.on, c.change.Kind, ended, want)
		}
	}
}

func TestShutdownSaysWhatItWaitsFor(t *testing.T) {
	j, lines := tempJournal(t, ini.LevelInfo)
	s := newStory(j, spec.ExitNever, false, nil)
	for _, p := range []api.Process{proc("late", 9), proc("early", 1), proc("gone", 5)} {
		s.hear(engine.Change{Kind: engine.Spawned, Process: p, PID: 3})
	}
	s.hear(engine.Change{Kind: engine.Exited, Process: proc("gone", 5), Expected: true})
	s.shutdown()
	s.hear(engine.Change{Kind: engine.Ending, Process: proc("late", 9)})
	s.close()
	got := lines()
	if slices.Contains(got, "INFO waiting for late to stop") {
		t.Errorf("it tells of a single one: %q", got)
	}
	s = newStory(j, spec.ExitNever, false, nil)
	s.hear(engine.Change{Kind: engine.Spawned, Process: proc("late", 9), PID: 3})
	s.hear(engine.Change{Kind: engine.Spawned, Process: proc("early", 1), PID: 3})
	s.shutdown()
	s.close()
	if last := lines()[len(lines())-1]; last != "INFO waiting for early, late to die" {
		t.Errorf("it says %q", last)
	}
}

func TestPartsAreHeardFromWarningsOn(t *testing.T) {
	j, lines := tempJournal(t, ini.LevelInfo)
	log := j.logger().Named("agent")
	log.Info("not this")
	log.Warn("this", zap.String("process", "a"))
	log.With(zap.Int("n", 1)).Error("and this")
	j.ending.Store(true)
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

func TestCommandLineIsHandedOnWhole(t *testing.T) {
	line, asked, err := readCommandLine([]string{"-nc", "x.conf", "--identifier=my id", "--loglev", "warn", "-y5MB"})
	if err != nil || asked != askedNothing || line.file != "x.conf" {
		t.Fatalf("%+v, %q, %v", line, asked, err)
	}
	again := line.again("/abs/x.conf")
	want := []string{"-c", "/abs/x.conf", "-n", "--identifier=my id", "--loglevel=warn", "-y", "5MB"}
	if !slices.Equal(again, want) {
		t.Errorf("%q, want %q", again, want)
	}
	second, _, err := readCommandLine(again)
	if err != nil || !slices.Equal(second.again("/abs/x.conf"), want) {
		t.Errorf("read again: %+v, %v", second, err)
	}
}
