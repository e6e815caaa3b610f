package parity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/gate"
)

// child ends after a while: child LIFE END COUNTER DEATHS.
const child = `#!/bin/sh
n=0
[ -f "$3" ] && read -r n <"$3"
[ "$n" -ge "$4" ] && exec sleep 1000
echo $((n + 1)) >"$3"
sleep "$1"
case $2 in
signal) kill -KILL $$ ;;
*) exit "$2" ;;
esac
`

// A sequence is a program that ends in one way.
type sequence struct {
	startSecs, retries int
	end, autorestart   string
	quick              bool // it ends before startsecs
	times              int  // how many times as often as else it ends, where nothing else ends that
}

func (q sequence) name() string {
	kind := "long"
	if q.quick {
		kind = "quick"
	}
	return fmt.Sprintf("%s_s%d_r%d_%s_%s", kind, q.startSecs, q.retries, q.end, q.autorestart)
}

func (q sequence) startsecs() time.Duration { return time.Duration(q.startSecs) * time.Second }

// life is how long a copy lives. A quick one is far from startsecs, as supervisord notices a death late when it is busy.
func (q sequence) life() time.Duration {
	if q.quick {
		return 50 * time.Millisecond
	}
	return q.startsecs() + 700*time.Millisecond
}

// deaths is how often it ends at most: the next copy lives on, so that even what is restarted for ever comes to rest.
func (q sequence) deaths() int {
	switch {
	case q.quick:
		return q.retries + 2 // it has to give up before
	case q.startSecs == 3:
		return 2 * q.times
	}
	return 3 * q.times
}

// section is the program's section. What has to be judged in a second is started last, as supervisord starts all in
// one turn and notices no death before its end.
func (q sequence) section() string {
	priority := 10
	if q.quick {
		priority = 20 - q.startSecs
	}
	return fmt.Sprintf("[program:%s]\ncommand=sh %%(here)s/child %.2f %s %%(here)s/%s.n %d\nstartsecs=%d\nstartretries=%d\nautorestart=%s\npriority=%d\n"+
		"stdout_logfile=NONE\nstderr_logfile=NONE\n", q.name(), q.life().Seconds(), q.end, q.name(), q.deaths(), q.startSecs, q.retries, q.autorestart, priority)
}

// sentences is how many are said of it until it comes to rest, for the test to know when to look.
func (q sequence) sentences() int {
	again := q.autorestart == "true" || q.autorestart == "unexpected" && q.end != "0"
	switch {
	case q.quick:
		return 2*(q.retries+1) + 1 // spawned and exited each, and gave up
	case again:
		return 3*q.deaths() + 2
	}
	return 3
}

// sequences are all of them: those that end before startsecs, where there is a before, and those that end after it.
func sequences(times int) []sequence {
	var out []sequence
	for _, startSecs := range []int{0, 1, 3} {
		for _, retries := range []int{0, 1, 3} {
			for _, end := range []string{"0", "1", "signal"} {
				for _, autorestart := range []string{"false", "true", "unexpected"} {
					q := sequence{startSecs: startSecs, retries: retries, end: end, autorestart: autorestart, times: times}
					out = append(out, q)
					if startSecs > 0 {
						q.quick = true
						out = append(out, q)
					}
				}
			}
		}
	}
	return out
}

// metronome wakes supervisord's loop. Without it a death is noticed up to a second late, is taken for one after
// startsecs, and the retries begin anew: the difference "instant-death".
const metronome = "[program:metronome]\ncommand=sh -c 'while :; do echo; sleep 0.1; done'\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\npriority=1\n"

// TestStateSequencesAreTheSame runs a program of every combination of startsecs, startretries, its end and
// autorestart in one configuration, on both sides at once.
func TestStateSequencesAreTheSame(t *testing.T) {
	t.Parallel()
	runSequences(t, sequences(1))
}

// TestLongStateSequencesAreTheSame is the same with programs that are restarted for longer.
func TestLongStateSequencesAreTheSame(t *testing.T) {
	gate.Long(t)
	runSequences(t, sequences(4))
}

func runSequences(t *testing.T, left []sequence) {
	t.Helper()
	// A host that is busy shows a quick program as a long one. What was judged on such grounds is asked again.
	const rounds = 4
	for round := 1; len(left) > 0; round++ {
		again := compareSequences(t, left)
		if len(again) > 0 {
			t.Logf("round %d: the host was too busy for %d of %d programs", round, len(again), len(left))
		}
		if round == rounds && len(again) > 0 {
			t.Fatalf("after %d rounds still not seen as they are: %v", rounds, again)
		}
		left = again
	}
}

// compareSequences compares programs and returns those of which one of the sides took the life for another than it was.
func compareSequences(t *testing.T, list []sequence) (again []sequence) {
	conf := metronome
	for _, q := range list {
		conf += q.section()
	}
	sides := startBoth(t, conf, map[string]string{"child": child})
	var stories [2]story
	atRest := func(s story) bool {
		return !slices.ContainsFunc(list, func(q sequence) bool {
			said := s.Of[q.name()]
			return len(said) < q.sentences() && q.seenAsItIs(said)
		})
	}
	for i, r := range sides {
		if !r.within(patience, func() bool { return atRest(r.sequenceStory(list)) }) {
			t.Errorf("%s: not all came to rest", r)
		}
		stories[i] = r.sequenceStory(list)
	}
	status := [2]map[string]string{}
	for i, r := range sides {
		status[i] = byName(r.masker().answer(r.ask("status")).Out)
		if code := r.stop(); code != 0 {
			t.Errorf("%s: exit code %d", r, code)
		}
		whole := r.sequenceStory(list) // what was said meanwhile is part of it
		for name, said := range whole.Of {
			stories[i].Of[name] = said
		}
	}
	for _, q := range list {
		name := q.name()
		if !q.seenAsItIs(stories[0].Of[name]) || !q.seenAsItIs(stories[1].Of[name]) {
			again = append(again, q)
			continue
		}
		if problem := unlikeTexts(stories[0].Of[name], stories[1].Of[name]); problem != "" {
			t.Errorf("%s:\n%s", name, problem)
		}
		if status[0][name] != status[1][name] {
			t.Errorf("status of %s:\nours   %q\ntheirs %q", name, status[0][name], status[1][name])
		}
	}
	return again
}

// unlikeTexts shows two lists of sentences that differ.
func unlikeTexts(ours, theirs []sentence) string {
	a, b := texts(ours), texts(theirs)
	if slices.Equal(a, b) {
		return ""
	}
	return fmt.Sprintf("ours\n  %s\ntheirs\n  %s", strings.Join(a, "\n  "), strings.Join(b, "\n  "))
}

// byName are the lines of a status by the names that they begin with.
func byName(out string) map[string]string {
	lines := map[string]string{}
	for line := range strings.Lines(out) {
		if words := strings.Fields(line); len(words) > 0 {
			lines[words[0]] = strings.TrimSuffix(line, "\n")
		}
	}
	return lines
}

// sequenceStory is the story, with what supervisord leaves out: it says nothing of RUNNING when a program that has lived
// for startsecs is dead before its loop, busy with spawning all others, has looked at it again.
func (r *ran) sequenceStory(list []sequence) story {
	s := r.story()
	if r.ours {
		return s
	}
	for _, q := range list {
		if !q.quick {
			s.Of[q.name()] = q.withSuccess(s.Of[q.name()])
		}
	}
	return s
}

// withSuccess puts the missing sentence between a spawn and the end that follows it too late for a failure.
func (q sequence) withSuccess(said []sentence) []sentence {
	var out []sentence
	for i, s := range said {
		if i > 0 && strings.Contains(s.Text, " exited: ") && strings.Contains(said[i-1].Text, " spawned: ") && s.At.Sub(said[i-1].At) >= q.startsecs() {
			out = append(out, sentence{At: s.At, Text: fmt.Sprintf("INFO success: %s entered RUNNING state, process has stayed up for > than %d seconds (startsecs)",
				q.name(), q.startSecs)})
		}
		out = append(out, s)
	}
	return out
}

// slack is how far apart a log's stamps and the moments may be by which the daemon has judged.
const slack = 200 * time.Millisecond

// seenAsItIs reports whether a side saw every life of the program as long as it was meant: quick ones before startsecs.
func (q sequence) seenAsItIs(said []sentence) bool {
	if !q.quick {
		return true
	}
	for i, s := range said {
		if i > 0 && strings.Contains(s.Text, " exited: ") && s.At.Sub(said[i-1].At) >= q.startsecs()-slack {
			return false
		}
		if strings.Contains(s.Text, " success: ") {
			return false
		}
	}
	return true
}

// TestSequencesCoverEveryCombination holds the list above to what it is for.
func TestSequencesCoverEveryCombination(t *testing.T) {
	names := map[string]bool{}
	for _, q := range sequences(1) {
		names[q.name()] = true
	}
	if want := 81 + 54; len(names) != want {
		t.Errorf("%d sequences, want %d: %v", len(names), want, slices.Sorted(maps.Keys(names)))
	}
}
