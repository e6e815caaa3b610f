package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/witness"
)

// Histories are written in seconds. The process is p, with a touch_timeout of 2 s, which should run all the time.

// copyOf is a tree of one process: its main process.
func copyOf(tree, machine, token string, from, to float64) witness.Copy {
	return part(witness.MainPart, tree, machine, token, from, to)
}

func part(name, tree, machine, token string, from, to float64) witness.Copy {
	return witness.Copy{Process: "p", Part: name, Tree: tree, Machine: machine, Token: token, Start: at(from), Last: at(to), StartRaw: at(from), LastRaw: at(to)}
}

func at(seconds float64) int64 { return int64(seconds * float64(time.Second)) }

func event(seconds float64, what What, subject, text string) Event {
	return Event{At: at(seconds), What: what, Subject: subject, Text: text}
}

// calm is a history in which nothing happens.
func calm(copies ...witness.Copy) History {
	return History{Copies: copies, TouchTimeouts: map[string]int{"p": 2},
		Events: []Event{event(1, Wanted, "p", ""), event(200, Note, "", "the end")}}
}

// during puts a burst from 10 s to 20 s into a history.
func during(h History, single string, more ...Event) History {
	h.Events = append(h.Events, event(10, BurstBegins, "", single), event(20, BurstEnds, "", ""))
	h.Events = append(h.Events, more...)
	sortBy(h.Events, func(e Event) int64 { return e.At })
	return h
}

func raw(c witness.Copy, from, to float64) witness.Copy {
	c.StartRaw, c.LastRaw = at(from), at(to)
	return c
}

func TestJudgeRejectsEveryPlantedHistory(t *testing.T) {
	old, next := copyOf("1", "h1", "7", 1, 12), copyOf("2", "h2", "9", 15, 200)
	for _, c := range []struct {
		name string
		h    History
		says string
	}{
		{"two main processes live at once", during(calm(old, copyOf("2", "h2", "9", 11.9, 200)), "kill-host"), "OVERLAP"},
		{"they touch in one instant", during(calm(old, copyOf("2", "h2", "9", 12, 200)), "kill-host"), "OVERLAP"},
		{"a detached grandchild outlives its tree", during(calm(old, part(witness.Grandchild, "1", "h1", "7", 1, 15.01), next), "kill-host"), "OVERLAP"},
		{"a child that began late outlives its tree", during(calm(old, part(witness.Child, "1", "h1", "7", 14, 15.2), next), "kill-host"), "OVERLAP"},
		{"the next one's grandchild begins too early", during(calm(old, next, part(witness.Grandchild, "2", "h2", "9", 11.5, 200)), "kill-host"), "OVERLAP"},
		{"they overlap by the raw clock only", during(calm(raw(old, 1, 15.1), next), "kill-host"), "OVERLAP"},
		{"a restart in place leaves something behind", calm(old, part(witness.Grandchild, "1", "h1", "7", 1, 13), copyOf("2", "h1", "7", 12.5, 200)), "OVERLAP"},
		{"one lives within another", calm(copyOf("1", "h1", "7", 1, 200), copyOf("2", "h2", "9", 50, 51)), "OVERLAP"},
		{"an overlap after its host stood still", during(calm(copyOf("1", "h1", "7", 1, 30), next), "freeze-host", event(10, Freezes, "h1", ""), event(19, Thaws, "h1", "")), "OVERLAP"},
		{"an overlap while another host stands still", during(calm(copyOf("1", "h1", "7", 1, 15.3), next), "freeze-host", event(10, Freezes, "h3", ""), event(19, Thaws, "h3", "")), "OVERLAP"},
		{"its host froze only after the next one began", during(calm(copyOf("1", "h1", "7", 1, 17), next), "freeze-host", event(16, Freezes, "h1", ""), event(19, Thaws, "h1", "")), "OVERLAP"},
		{"a token falls", during(calm(copyOf("1", "h1", "9", 1, 12), copyOf("2", "h2", "7", 15, 200)), "kill-host"), "under token 7 after one under 9"},
		{"one token on two machines", during(calm(old, copyOf("2", "h2", "7", 15, 200)), "kill-host"), "the same token 7"},
		{"no token", calm(copyOf("1", "h1", "-", 1, 200)), `the token "-"`},
		{"what was stopped starts", calm(old, next).with(event(12, Unsure, "p", ""), event(13, Stopped, "p", "")), "after it was stopped"},
		{"too late after one fault", during(calm(old, copyOf("2", "h2", "9", 30, 200)), "kill-host"), "did not run for"},
		{"too late after many faults", during(calm(old, copyOf("2", "h2", "9", 60, 200)), ""), "did not run for"},
		{"it never runs again", during(calm(old), ""), "never ran again"},
		{"it never runs at all", calm(), "never ran again"},
		{"it ends though nothing happened", calm(old, copyOf("2", "h2", "9", 60, 200)), "did not run for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if said := tell(Judge(c.h)); !strings.Contains(said, c.says) {
				t.Errorf("the judge should say %q; it says %q", c.says, said)
			}
		})
	}
}

func TestJudgeAcceptsWhatIsPromised(t *testing.T) {
	old, next := copyOf("1", "h1", "7", 1, 12), copyOf("2", "h2", "9", 15, 200)
	for _, c := range []struct {
		name string
		h    History
	}{
		{"nothing happens", calm(copyOf("1", "h1", "7", 1, 200))},
		{"it moves", during(calm(old, next), "kill-host")},
		{"its tree ends with it", during(calm(old, part(witness.Grandchild, "1", "h1", "7", 1, 14.99), next), "kill-host")},
		{"the parts of one tree live together", calm(copyOf("1", "h1", "7", 1, 200), part(witness.Child, "1", "h1", "7", 1, 200), part(witness.Grandchild, "1", "h1", "7", 1, 200))},
		{"it restarts in place", during(calm(old, copyOf("2", "h1", "7", 12.1, 200)), "kill-keeper")},
		{"another process lives at once", func() History {
			other := copyOf("2", "h2", "9", 1, 200)
			other.Process = "q"
			return calm(copyOf("1", "h1", "7", 1, 200), other)
		}()},
		{"it runs again only when many faults are over", during(calm(old, copyOf("2", "h2", "9", 35, 200)), "")},
		{"it is stopped, and starts when it is wanted again", calm(old, copyOf("2", "h2", "9", 50, 200)).with(
			event(11, Unsure, "p", ""), event(13, Stopped, "p", ""), event(49, Unsure, "p", ""), event(50, Wanted, "p", ""))},
	} {
		t.Run(c.name, func(t *testing.T) {
			if said := tell(Judge(c.h)); said != "" {
				t.Errorf("the judge says %s", said)
			}
		})
	}
}

// TestAPausedHostIsCountedApart: its old copies live for a moment when it goes on, as those of a virtual machine do.
func TestAPausedHostIsCountedApart(t *testing.T) {
	h := during(calm(copyOf("1", "h1", "7", 1, 19.5), copyOf("2", "h2", "9", 15, 200)), "freeze-host", event(10, Freezes, "h1", ""), event(19, Thaws, "h1", ""))
	if v := Judge(h); len(v.Excused) != 1 || tell(v) != "" {
		t.Errorf("the judge excuses %v and says %q", v.Excused, tell(v))
	}
}

func (h History) with(more ...Event) History {
	h.Events = append(h.Events, more...)
	sortBy(h.Events, func(e Event) int64 { return e.At })
	return h
}

// tell is everything that is wrong.
func tell(v Verdict) string {
	var words []string
	for _, o := range v.Overlaps {
		words = append(words, "OVERLAP: "+o.String())
	}
	return strings.Join(append(append(words, v.Wrong...), v.Late...), "; ")
}
