package parity

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAnswersThatAreWrongAreFound plants wrong answers, one by one, on the way from what a ctl writes to the verdict.
func TestAnswersThatAreWrongAreFound(t *testing.T) {
	const log = "INFO spawned: 'a' with pid %d\nINFO spawned: 'x' with pid %d\nINFO spawned: 'a' with pid %d\n"
	side := func(dir, version string, daemon, before, x, a int) masker {
		return masker{dir: dir, version: version, pids: pidsIn(fmt.Sprintf(log, before, x, a), daemon)}
	}
	m := side("/tmp/parity1", "4.2.5", 17, 4710, 4712, 4711)
	right := func() answer {
		return answer{Out: "a                                RUNNING   pid 4711, uptime 0:00:05\n" +
			"b                                STOPPED   Nov 22 11:05 PM\n" +
			"g:x                              RUNNING   pid 4712, uptime 1 day, 2:00:05\n" +
			"nosuch: ERROR (no such process)\n4711\n17\n/tmp/parity1/a.log\n",
			Err: "Error: something\n", Code: 3}
	}
	theirs := m.answer(right())
	if problem := m.answer(right()).unlike(theirs); problem != "" {
		t.Fatal(problem)
	}
	// What has to differ between two sides does not count.
	other := side("/tmp/parity2", "9", 83, 80, 82, 81)
	same := answer{Out: strings.NewReplacer("4711", "81", "4712", "82", "17\n", "83\n", "parity1", "parity2", "0:00:05", "3:12:59", "1 day", "23 days",
		"Nov 22 11:05 PM", "Jan 01 01:00 AM").Replace(right().Out), Err: "Error: something\nand a hint\n", Code: 3}
	if problem := other.answer(same).unlike(theirs); problem != "" {
		t.Errorf("what means nothing counts: %s", problem)
	}
	replace := func(old, with string) func(*answer) {
		return func(a *answer) {
			if !strings.Contains(a.Out, old) {
				t.Fatalf("there is no %q to plant in", old)
			}
			a.Out = strings.Replace(a.Out, old, with, 1)
		}
	}
	for name, plant := range map[string]func(*answer){
		"an exit code":              func(a *answer) { a.Code = 0 },
		"a space is missing":        replace("  RUNNING", " RUNNING"),
		"a space too many":          replace("4711, ", "4711,  "),
		"a space at the end":        replace("process)\n", "process) \n"),
		"another state":             replace("STOPPED", "EXITED "),
		"another name":              replace("g:x", "g:y"),
		"a pid of another process":  replace("pid 4711", "pid 4712"),
		"a pid that it had before":  replace("pid 4711", "pid 4710"),
		"a pid of no process":       replace("pid 4711", "pid 4713"),
		"a pid of 0":                replace("\n4711\n", "\n0\n"),
		"the pid of the daemon":     replace("\n4711\n", "\n17\n"),
		"an uptime in other words":  replace("uptime 0:00:05", "up 5 s"),
		"an uptime without seconds": replace("0:00:05", "0:00"),
		"a time of 24 hours":        replace("11:05 PM", "23:05"),
		"two lines swapped": func(a *answer) {
			l := strings.SplitAfter(a.Out, "\n")
			l[0], l[1] = l[1], l[0]
			a.Out = strings.Join(l, "")
		},
		"a line is missing":          replace("nosuch: ERROR (no such process)\n", ""),
		"a line twice":               replace("17\n", "17\n17\n"),
		"no line break at the end":   func(a *answer) { a.Out = strings.TrimSuffix(a.Out, "\n") },
		"another directory":          replace("/tmp/parity1", "/tmp/parity3"),
		"nothing at all":             func(a *answer) { a.Out = "" },
		"an error that is not said":  func(a *answer) { a.Err = "" },
		"an error in other words":    func(a *answer) { a.Err = "Error: another thing\n" },
		"the text of a pid unmasked": replace("pid 4711", "pid <a>"),
	} {
		wrong := right()
		plant(&wrong)
		if m.answer(wrong).unlike(theirs) == "" {
			t.Errorf("nothing was found: %s", name)
		}
	}
}

// TestStoriesThatAreWrongAreFound plants wrong sentences in a log.
func TestStoriesThatAreWrongAreFound(t *testing.T) {
	const log = `INFO supervisord started with pid 10
INFO spawned: 'a' with pid 11
INFO spawned: 'b' with pid 12
INFO success: a entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)
WARN exited: b (exit status 1; not expected)
INFO spawned: 'b' with pid 13
INFO gave up: b entered FATAL state, too many start retries too quickly
INFO waiting for a to stop
WARN killing 'a' (11) with SIGKILL
WARN stopped: a (terminated by SIGKILL)
WARN received SIGTERM indicating exit request
INFO waiting for c, d to die`
	tell := func(text string) story {
		var stamped strings.Builder
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(&stamped, "2026-11-22 23:05:00,123 %s\n", line)
		}
		s, err := storyOf(stamped.String(), "/tmp/parity1", 10)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	theirs := tell(log)
	if problem := tell(strings.ReplaceAll(log, "11", "21")).unlike(theirs); problem != "" {
		t.Fatal(problem)
	}
	lines := strings.Split(log, "\n")
	// A kill that is not seen to work in time is repeated, and said again.
	if problem := tell(strings.Replace(log, lines[8], lines[8]+"\n"+lines[8], 1)).unlike(theirs); problem != "" {
		t.Error(problem)
	}
	swap := func(i, j int) string {
		l := slices.Clone(lines)
		l[i], l[j] = l[j], l[i]
		return strings.Join(l, "\n")
	}
	without := func(i int) string { return strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "\n") }
	if _, err := storyOf("INFO spawned: 'a' with pid 11\n", "/tmp/parity1", 10); err == nil {
		t.Error("nothing was found: a line without the time")
	}
	for name, wrong := range map[string]string{
		"nothing at all":               "",
		"a state skipped":              without(3),
		"an end that is not told":      without(4),
		"a start too few":              without(5),
		"a start too many":             log + "\nINFO spawned: 'b' with pid 14",
		"not given up":                 without(6),
		"not killed":                   without(8),
		"not waited for":               without(7),
		"two sentences swapped":        swap(4, 5),
		"started in another order":     swap(1, 2),
		"stopped before it was killed": swap(8, 9),
		"expected":                     strings.Replace(log, "1; not expected", "1; expected", 1),
		"another exit status":          strings.Replace(log, "exit status 1", "exit status 0", 1),
		"another signal":               strings.Replace(log, "terminated by SIGKILL", "terminated by SIGTERM", 1),
		"another level":                strings.Replace(log, "WARN stopped", "INFO stopped", 1),
		"other seconds":                strings.Replace(log, "> than 1", "> than 0", 1),
		"another reason":               strings.Replace(log, "too many start retries too quickly", "it cannot be started here", 1),
		"of another process":           strings.Replace(log, "gave up: b", "gave up: a", 1),
		"others are to die":            strings.Replace(log, "c, d", "d, c", 1),
		"another daemon":               strings.Replace(log, "with pid 10", "with pid 11", 1),
		"the pid of another is killed": strings.Replace(log, "(11)", "(12)", 1),
		"a pid of nobody is killed":    strings.Replace(log, "(11)", "(0)", 1),
		"another request":              strings.Replace(log, "SIGTERM indicating", "SIGINT indicating", 1),
	} {
		if wrong == log {
			t.Fatalf("nothing is planted: %s", name)
		}
		if tell(wrong).unlike(theirs) == "" {
			t.Errorf("nothing was found: %s", name)
		}
	}
}

// TestDifferencesHaveToBeMetExactly plants wrong claims of a difference.
func TestDifferencesHaveToBeMetExactly(t *testing.T) {
	theirs := answer{Out: "from the log\n\n"}
	met := &metDifferences{}
	if problem := met.judge("tail-newline", answer{Out: "from the log\n"}, theirs); problem != "" || !met.has("tail-newline") {
		t.Errorf("a difference that is met: %q", problem)
	}
	for name, c := range map[string]struct {
		differs      string
		ours, theirs answer
	}{
		"the difference is gone":        {"tail-newline", theirs, theirs},
		"it differs in more":            {"tail-newline", answer{Out: "from another log\n"}, theirs},
		"it differs in the exit code":   {"tail-newline", answer{Out: "from the log\n", Code: 1}, theirs},
		"it means nothing there":        {"tail-newline", answer{Out: "x"}, answer{Out: "x"}},
		"there is none of this name":    {"bogus", answer{Out: "x"}, answer{Out: "y"}},
		"no difference is named":        {"", answer{Out: "from the log\n"}, theirs},
		"nobody there, and not told so": {"nobody", answer{Code: 7}, answer{Out: "unix://HERE/s.sock no such file\n", Code: 7}},
	} {
		if met.judge(c.differs, c.ours, c.theirs) == "" {
			t.Errorf("nothing was found: %s", name)
		}
	}
}

// TestSequencesSeenOtherwiseAreAskedAgain holds the one excuse of a sequence to what it is for.
func TestSequencesSeenOtherwiseAreAskedAgain(t *testing.T) {
	q := sequence{startSecs: 1, retries: 1, end: "1", autorestart: "true", quick: true, times: 1}
	at := func(ms int, text string) sentence { return sentence{At: time.UnixMilli(int64(ms)), Text: text} }
	for name, c := range map[string]struct {
		said []sentence
		as   bool
	}{
		"quick":           {[]sentence{at(0, "INFO spawned: 'x' with N"), at(60, "WARN exited: x (exit status 1; not expected)")}, true},
		"seen late":       {[]sentence{at(0, "INFO spawned: 'x' with N"), at(1060, "WARN exited: x (exit status 1; not expected)")}, false},
		"seen as RUNNING": {[]sentence{at(0, "INFO spawned: 'x' with N"), at(1001, "INFO success: x entered RUNNING state")}, false},
	} {
		if q.seenAsItIs(c.said) != c.as {
			t.Errorf("%s: seen as it is: %v", name, !c.as)
		}
	}
	q.quick = false
	for life, want := range map[int]int{1000: 3, 900: 2} {
		if got := q.withSuccess([]sentence{at(0, "INFO spawned: 'x' with N"), at(life, "INFO exited: x (exit status 0; expected)")}); len(got) != want {
			t.Errorf("after %d ms the story is %v, want %d sentences", life, got, want)
		}
	}
}
