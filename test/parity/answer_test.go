package parity

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An answer is what a ctl said to one line.
type answer struct {
	Out, Err string
	Code     int
}

func (a answer) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%sstderr:\n%s", a.Code, indented(a.Out), indented(a.Err))
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		fmt.Fprintf(&b, "  %q\n", line)
	}
	return b.String()
}

// unlike says how our answer differs from theirs, "" for not at all: the exit code and standard output have to be
// equal, and whatever they write to standard error has to be in ours, which may say more.
func (a answer) unlike(theirs answer) string {
	var problems []string
	if a.Code != theirs.Code {
		problems = append(problems, fmt.Sprintf("exit code %d, theirs %d", a.Code, theirs.Code))
	}
	if a.Out != theirs.Out {
		problems = append(problems, "standard output")
	}
	said := strings.Split(a.Err, "\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(theirs.Err, "\n"), "\n") {
		if line != "" && !slices.Contains(said, line) {
			problems = append(problems, fmt.Sprintf("standard error lacks %q", line))
		}
	}
	if len(problems) == 0 {
		return ""
	}
	return fmt.Sprintf("%s\nours: %v\ntheirs: %v", strings.Join(problems, ", "), a, theirs)
}

// A masker replaces what cannot be equal on two sides: directories, moments, and pids by what has them, or had them
// before. A number that is no pid of the side stays as it is.
type masker struct {
	dir     string
	version string // a line that is nothing but that
	pids    map[int]string
}

var (
	uptime  = regexp.MustCompile(`uptime (?:\d+ days?, )?\d+:\d\d:\d\d`)
	moment  = regexp.MustCompile(`\b[A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M\b`)
	stamp   = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}`)
	number  = regexp.MustCompile(`\b\d+\b`)
	spawned = regexp.MustCompile(`spawned: '([^']+)' with pid (\d+)`)
)

// former is said before the name of a process that has another pid now.
const former = "a former "

// masker is the masker of a side as it is now.
func (r *ran) masker() masker {
	daemon := -1
	if r.cmd != nil {
		daemon = r.pid()
	}
	return masker{dir: r.dir, version: r.version, pids: pidsIn(r.log(), daemon)}
}

// pidsIn is whose the pids in a log are: the last one of a process is its own, those before were.
func pidsIn(log string, daemon int) map[int]string {
	pids, last := map[int]string{daemon: "the daemon"}, map[string]int{}
	for _, found := range spawned.FindAllStringSubmatch(log, -1) {
		pid, err := strconv.Atoi(found[2])
		if err != nil {
			continue
		}
		name := found[1]
		if before, known := last[name]; known && pids[before] == name {
			pids[before] = former + name
		}
		pids[pid], last[name] = name, pid
	}
	return pids
}

func (m masker) mask(text string) string {
	if text == m.version+"\n" {
		return "<version>\n"
	}
	text = strings.ReplaceAll(text, m.dir, "HERE")
	text = uptime.ReplaceAllString(text, "uptime <time>")
	text = moment.ReplaceAllString(text, "<moment>")
	text = stamp.ReplaceAllString(text, "<stamp>")
	return number.ReplaceAllStringFunc(text, func(digits string) string {
		pid, err := strconv.Atoi(digits)
		if name, known := m.pids[pid]; known && err == nil {
			return "<pid of " + name + ">"
		}
		return digits
	})
}

func (m masker) answer(a answer) answer {
	return answer{Out: m.mask(a.Out), Err: m.mask(a.Err), Code: a.Code}
}
