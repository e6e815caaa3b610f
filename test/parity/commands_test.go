package parity

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What a line is about: each command is tried in each of these ways.
const (
	fine         = "fine"
	unknownName  = "unknown name"
	unknownGroup = "unknown group"
	wrong        = "wrong arguments"
	nobody       = "nobody there"
)

var kinds = []string{fine, unknownName, unknownGroup, wrong, nobody}

// commands are supervisorctl's.
var commands = []string{"add", "avail", "clear", "exit", "fg", "help", "maintail", "open", "pid", "quit", "reload", "remove", "reread",
	"restart", "shutdown", "signal", "start", "status", "stop", "tail", "update", "version"}

// A line is one command line for both ctls. Lines of a script follow one another on the same two daemons.
type line struct {
	kind    string
	text    string // its words
	stdin   string
	differs string            // the entry of answerDifferences by which the two sides differ, and then they have to
	before  func(r *ran)      // what is done on each side before
	after   func(r *ran)      // and after
	sort    bool              // the order of processes means nothing
	groups  bool              // the order of groups means nothing
	files   map[string]string // what is written before
}

func (l line) words() []string { return strings.Fields(l.text) }

// A script is a configuration and lines for it.
type script struct {
	name, conf string
	files      map[string]string
	ready      func(r *ran) // waits until the programs are as the lines expect them
	absent     bool         // no daemon runs
	lines      []line
}

// talker says something on both channels, and then what it is told.
const talker = `[program:talker]
command=sh -c 'echo from stdout; echo from stderr >&2; exec cat'
startsecs=0
stdout_logfile=%(here)s/talker.out
stderr_logfile=%(here)s/talker.err
`

const sleeper = "command=sleep 1000\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n"

const ensemble = `[program:a]
` + sleeper + `[program:b]
autostart=false
` + sleeper + `[program:x]
` + sleeper + `[program:y]
` + sleeper + `[group:g]
programs=x,y
[program:n]
numprocs=2
process_name=%(program_name)s_%(process_num)02d
priority=5
` + sleeper + `[program:late]
autostart=false
` + sleeper + `startsecs=1
`

// broken are programs that do not start, each for a reason of its own.
const broken = metronome + `[program:missing]
command=/no/such/command
autostart=false
[program:nowhere]
command=no-such-command-anywhere
autostart=false
[program:plain]
command=%(here)s/plain
autostart=false
[program:folder]
command=/tmp
autostart=false
[program:unparsed]
command=sleep "1
autostart=false
[program:quick]
command=false
startretries=0
autostart=false
[program:retrying]
command=false
autostart=false
[program:unwilling]
command=sh -c 'sleep 0.3; exit 0'
startretries=0
autostart=false
[program:elsewhere]
command=sleep 1000
directory=/no/such/directory
startretries=0
autostart=false
[program:over]
command=sh -c 'sleep 0.1; exit 0'
startsecs=0
autostart=false
autorestart=false
`

func until(text string, n int) func(r *ran) {
	return func(r *ran) {
		r.t.Helper()
		r.until(func() bool { return strings.Count(r.log(), text) >= n }, "its log does not say %q %d times", text, n)
	}
}

// run runs the lines of a script on both sides.
func (sc script) run(t *testing.T, met *metDifferences) {
	var sides [2]*ran
	if sc.absent {
		for i, s := range bothSides(t) {
			sides[i] = s.prepare(t, sc.conf)
		}
	} else {
		sides = startBoth(t, sc.conf, sc.files)
	}
	if sc.ready != nil {
		onBoth(sides, sc.ready)
	}
	runLines(t, sides, sc.lines, met)
}

// runLines runs lines on both sides, one after the other, each on both at once.
func runLines(t *testing.T, sides [2]*ran, lines []line, met *metDifferences) {
	t.Helper()
	for _, l := range lines {
		for _, r := range sides {
			for name, text := range l.files {
				r.write(name, strings.ReplaceAll(text, "HEADER", header))
			}
		}
		if l.before != nil {
			onBoth(sides, l.before)
		}
		var said [2]answer
		onBoth(sides, func(r *ran) {
			words := strings.Fields(strings.ReplaceAll(l.text, "SERVER", r.server()))
			a := r.askWith(l.stdin, words...)
			if l.after != nil {
				l.after(r)
			}
			a = r.masker().answer(a)
			switch {
			case l.sort:
				a.Out = sortedAlike(a.Out)
			case l.groups:
				a.Out = sortedLines(a.Out)
			}
			said[slices.Index(sides[:], r)] = a
		})
		if problem := met.judge(l.differs, said[0], said[1]); problem != "" {
			t.Errorf("%q: %s", l.text, problem)
		}
	}
}

func sortedLines(text string) string {
	lines := slices.Collect(strings.Lines(text))
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// sortedAlike sorts neighbours that say the same of different processes: that all are stopped before one is started stays.
func sortedAlike(text string) string {
	lines := slices.Collect(strings.Lines(text))
	said := func(line string) string { return line[strings.LastIndex(line, ": ")+1:] }
	for begin := 0; begin < len(lines); {
		end := begin + 1
		for end < len(lines) && said(lines[end]) == said(lines[begin]) {
			end++
		}
		slices.Sort(lines[begin:end])
		begin = end
	}
	return strings.Join(lines, "")
}

// TestCommandsAnswerAsSupervisorctlDoes runs the same lines through each side's ctl.
func TestCommandsAnswerAsSupervisorctlDoes(t *testing.T) {
	t.Parallel()
	bothSides(t) // or there is nothing to meet
	met := &metDifferences{}
	t.Run("scripts", func(t *testing.T) {
		for _, sc := range scripts() {
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				sc.run(t, met)
			})
		}
	})
	if !t.Failed() {
		for _, d := range answerDifferences {
			if !met.has(d.id) {
				t.Errorf("no line meets the difference %s", d.id)
			}
		}
	}
}

// TestEveryCommandIsTriedInEveryWay holds the scripts to what they are for.
func TestEveryCommandIsTriedInEveryWay(t *testing.T) {
	tried := map[string]bool{}
	for _, sc := range scripts() {
		for _, l := range sc.lines {
			if words := l.words(); len(words) > 0 {
				tried[words[0]+" "+l.kind] = true
			}
		}
	}
	for _, c := range commands {
		for _, k := range kinds {
			if !tried[c+" "+k] {
				t.Errorf("%s is not tried with: %s", c, k)
			}
		}
	}
}

// appendTo appends to a file of a side.
func appendTo(r *ran, name, text string) {
	f, err := os.OpenFile(r.path(name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		r.t.Error(err)
	}
}
