package contact

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const second = time.Second

// three are web, which is bounded, api, which may be another of these, and db, which is kept.
func three(api Process) []Process {
	api.Name = "api"
	return []Process{{Name: "web", Fate: Bounded, Left: 2300 * time.Millisecond}, api, {Name: "db", Fate: Kept}}
}

func fenced(names ...string) (all []Process) {
	for i, n := range names {
		all = append(all, Process{Name: n, Fate: Fenced, Ended: time.Duration(36+i) * second})
	}
	return all
}

// TestSentences has a row for each state that a machine can be in. With -v it prints the sentences.
func TestSentences(t *testing.T) {
	seen := Contact{From: FromKeeper}
	for _, row := range []struct {
		state     string
		c         Contact
		processes []Process
		want      string
	}{
		{"all is well", seen.By(StateAnswers, 400*time.Millisecond), three(Process{Fate: Bounded}), "etcd answered 0.4 s ago"},
		{"etcd came back, a process not yet", seen.By(StateAnswers, 0), fenced("web"),
			"etcd answered 0.0 s ago: web was stopped here 36 s ago, since no renewal came from etcd; it starts again here if it does not run " +
				"elsewhere by now"},
		{"etcd has just become silent", seen.By(StateSilent, 1300*time.Millisecond), three(Process{Fate: Bounded, Left: 4100 * time.Millisecond}),
			"etcd silent for 1.3 s: api and web go on until their deadlines in 2.3 s to 4.1 s, unless etcd answers before; " +
				"db runs on without etcd (on_partition = keep)"},
		{"the controllers are asked", Contact{Controllers: []string{"d1", "d2"}}.By(StateSilent, 1300*time.Millisecond), []Process{{Name: "web", Fate: Bounded, Left: 4 * second}},
			"etcd silent for 1.3 s: web goes on until its deadline in 4.0 s, unless etcd answers or d1 and d2 promise to leave it alone before"},
		{"they have promised", Contact{Controllers: []string{"d1"}}.By(StateSilent, 41*second),
			[]Process{{Name: "web", Fate: Held, Left: 9 * time.Minute}, {Name: "db", Fate: Held, Left: 9 * time.Minute}},
			"etcd silent for 41 s: db and web go on without etcd for at most 9 min 0 s, as long as d1 promises to leave them alone"},
		{"a stop signal is out", seen.By(StateSilent, 3400*time.Millisecond), []Process{{Name: "web", Fate: Ending, Left: 800 * time.Millisecond}},
			"etcd silent for 3.4 s: web is being stopped, since no renewal came from etcd; its deadline is in 0.8 s"},
		{"a process does not die", seen.By(StateSilent, 9*second), []Process{{Name: "web", Fate: Ending, Left: -4 * second}},
			"etcd silent for 9.0 s: web is being stopped, since no renewal came from etcd; its deadline passed 4.0 s ago"},
		{"all have ended", seen.By(StateSilent, 41*second), fenced("a", "b"),
			"etcd silent for 41 s: a and b were stopped here, the last one 36 s ago, since no renewal came from etcd; they start again here when " +
				"etcd answers, unless they run elsewhere by then"},
		{"many have ended", seen.By(StateSilent, 9*time.Minute), fenced("a", "b", "c", "d", "e", "f", "g"),
			"etcd silent for 9 min 0 s: a, b, c, d, e and 2 more were stopped here, the last one 36 s ago, since no renewal came from etcd; they " +
				"start again here when etcd answers, unless they run elsewhere by then"},
		{"a process that had no copy", seen.By(StateSilent, 41*second), []Process{{Name: "web", Fate: Fenced}},
			"etcd silent for 41 s: web is held down, since no renewal came from etcd; it starts again here when etcd answers, unless it runs " +
				"elsewhere by then"},
		{"a process has finished meanwhile", seen.By(StateSilent, 3*time.Hour), []Process{{Name: "job", Fate: Over}},
			"etcd silent for 3 h 0 min: job has ended, and the fleet is told when etcd answers"},
		{"the agent hangs", seen.By(StatePaused, 12*second), nil, "etcd answered last 12 s ago, and is not asked now"},
		{"the agent was stopped", Contact{From: FromKeeper, State: StateAnswers, SinceMillis: 500}.Unasked(), three(Process{Fate: Kept}),
			"etcd answered last 0.5 s ago, and no agent asks it now: web goes on until its deadline in 2.3 s, unless an agent is started and " +
				"etcd answers it before; api and db run on without etcd (on_partition = keep)"},
		{"the agent was stopped, and the leases have ended", Contact{From: FromKeeper, State: StateSilent, SinceMillis: 300000}.Unasked(), fenced("web"),
			"etcd answered last 5 min 0 s ago, and no agent asks it now: web was stopped here 36 s ago, since no renewal came from etcd; it starts " +
				"again here when an agent is started and etcd answers it, unless it runs elsewhere by then"},
		{"the agent does not answer", Contact{From: FromKeeper, State: StateAnswers, SinceMillis: 800}, three(Process{Fate: Bounded}), "etcd answered 0.8 s ago"},
		{"nothing was ever run here", Contact{From: FromKeeper, State: StateUnknown}.Unasked(), nil, "etcd unknown: no lease is held here"},
	} {
		t.Run(row.state, func(t *testing.T) {
			row.c.Processes = ProcessesOf(row.processes)
			got := row.c.String()
			t.Log(got)
			if got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			if mark := row.c.Mark(); !strings.HasPrefix(mark, "reported by the "+string(row.c.From)+"; etcd ") {
				t.Errorf("marked %q", mark)
			}
		})
	}
}

func TestSilenceIsCalledSoAfterAQuarterOfTheShortestLease(t *testing.T) {
	for _, row := range []struct {
		ttl  int64
		want time.Duration
	}{{2, 500 * time.Millisecond}, {5, 1250 * time.Millisecond}, {60, 15 * second}} {
		if StateAt(row.want, row.ttl) != StateAnswers || StateAt(row.want+1, row.ttl) != StateSilent {
			t.Errorf("touch_timeout %d: the state does not change at %v", row.ttl, row.want)
		}
	}
}

func TestSpanSaysWhatMatters(t *testing.T) {
	for d, want := range map[time.Duration]string{-second: "0.0 s", 390 * time.Millisecond: "0.3 s", 9999 * time.Millisecond: "9.9 s", 10 * second: "10 s",
		119 * second: "119 s", 150 * second: "2 min 30 s", 11 * time.Minute: "11 min", 25*time.Hour + 30*time.Minute: "25 h 30 min"} {
		if got := Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestContactIsTheSameOnTheOtherSideOfTheWire(t *testing.T) {
	c := Contact{From: FromKeeper, At: time.Unix(1000, 0).UTC(), Processes: ProcessesOf(three(Process{Fate: Fenced, Ended: second}))}.By(StateSilent, 41*second)
	text, err := json.Marshal(c)
	var back Contact
	if err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil || back.String() != c.String() || !back.At.Equal(c.At) {
		t.Errorf("%v: %s\nwas %s\nis  %s", err, text, c, back)
	}
}
