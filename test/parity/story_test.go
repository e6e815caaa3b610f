package parity

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A sentence is a line of a daemon's log.
type sentence struct {
	At   time.Time
	Text string // with its level, and what cannot be equal masked
}

// A story is a log in the parts whose order means something: what is said of each process, who was spawned and
// stopped in which order, and what the daemon says of itself.
type story struct {
	Of              map[string][]sentence
	Spawned, Ending []string
	Daemon          []string
}

var (
	logLine = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (.*)$`)
	pidText = regexp.MustCompile(`pid \d+|\(\d+\)`)
	subject = regexp.MustCompile(`^[A-Z]{4} (?:spawned: '|success: |exited: |stopped: |gave up: |killing ')([^' ]+)`)
	toStop  = regexp.MustCompile(`^INFO waiting for (\S+) to stop$`)
	spawnOf = regexp.MustCompile(`^INFO spawned: '([^']+)'`)
	endOf   = regexp.MustCompile(`^[A-Z]{4} stopped: (\S+)`)
)

// ofServers is what supervisord says of servers that distsuper does not have, and solo of those that it is asked for.
var ofServers = regexp.MustCompile(`RPC interface|running without any HTTP|supervisor\.rpcinterface|unix_http_server|inet_http_server`)

// story is the story of a side up to now.
func (r *ran) story() story {
	s, err := storyOf(r.log(), r.dir, r.pid())
	if err != nil {
		r.t.Errorf("%s: %v", r, err)
	}
	return s
}

// storyOf is the story that the log of a side tells, by its directory and the pid of its daemon.
func storyOf(log, dir string, daemon int) (story, error) {
	out := story{Of: map[string][]sentence{}}
	whose := pidsIn(log, daemon)
	mask := func(pid string) string {
		return number.ReplaceAllStringFunc(pid, func(digits string) string {
			n, err := strconv.Atoi(digits)
			if name, known := whose[n]; known && err == nil {
				return "N of " + strings.TrimPrefix(name, former)
			}
			return digits
		})
	}
	var wrong error
	for line := range strings.Lines(log) {
		found := logLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if found == nil {
			wrong = errors.Join(wrong, fmt.Errorf("a line without the time: %q", line))
			continue
		}
		at, err := time.ParseInLocation("2006-01-02 15:04:05,000", found[1], time.Local)
		wrong = errors.Join(wrong, err)
		out.add(at, pidText.ReplaceAllStringFunc(strings.ReplaceAll(found[2], dir, "HERE"), mask))
	}
	return out, wrong
}

func (s *story) add(at time.Time, text string) {
	if ofServers.MatchString(text) {
		return
	}
	of := subject.FindStringSubmatch(text)
	if stop := toStop.FindStringSubmatch(text); stop != nil {
		of = stop
	}
	switch {
	case strings.HasSuffix(text, " to die"):
		s.dying(text)
	case of == nil:
		s.Daemon = append(s.Daemon, text)
	default:
		if !s.saidOfThisCopy(of[1], text) {
			s.Of[of[1]] = append(s.Of[of[1]], sentence{At: at, Text: text})
		}
	}
	if m := spawnOf.FindStringSubmatch(text); m != nil {
		s.Spawned = append(s.Spawned, m[1])
	}
	if m := endOf.FindStringSubmatch(text); m != nil {
		s.Ending = append(s.Ending, m[1])
	}
}

// saidOfThisCopy reports whether a sentence is one that is said again as long as a process does not end: that it is waited
// for, every two seconds, and under supervisord that it is killed, whenever a kill has not been seen to work in time.
func (s *story) saidOfThisCopy(name, text string) bool {
	if !toStop.MatchString(text) && !strings.HasSuffix(text, " with SIGKILL") {
		return false
	}
	for _, said := range slices.Backward(s.Of[name]) {
		if said.Text == text {
			return true
		}
		if spawnOf.MatchString(said.Text) {
			return false
		}
	}
	return false
}

// dropWaits drops what is said of stops that are waited for: what ends at once is mostly, but not always, dead before
// it is waited for.
func (s *story) dropWaits() {
	for name, said := range s.Of {
		s.Of[name] = slices.DeleteFunc(said, func(x sentence) bool { return toStop.MatchString(x.Text) })
	}
}

// dying keeps what is said first of those that are to die; it is said again, of those that are left, every three seconds.
func (s *story) dying(text string) {
	for _, said := range slices.Backward(s.Daemon) {
		if strings.HasSuffix(said, " to die") {
			return
		}
		if strings.Contains(said, "started with pid") {
			break
		}
	}
	s.Daemon = append(s.Daemon, text)
}

func texts(list []sentence) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.Text
	}
	return out
}

// unlike says what the two stories say differently: of each process that either knows, of the order in which they
// were spawned and ended, and of the daemon. "" is nothing.
func (s story) unlike(theirs story) string {
	var b strings.Builder
	compare := func(what string, x, y []string) {
		if !slices.Equal(x, y) {
			fmt.Fprintf(&b, "%s: ours\n  %s\ntheirs\n  %s\n", what, strings.Join(x, "\n  "), strings.Join(y, "\n  "))
		}
	}
	all := maps.Clone(s.Of)
	maps.Copy(all, theirs.Of)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		compare("of "+name, texts(s.Of[name]), texts(theirs.Of[name]))
	}
	compare("spawned", s.Spawned, theirs.Spawned)
	compare("ended", s.Ending, theirs.Ending)
	compare("of itself", s.Daemon, theirs.Daemon)
	return b.String()
}
