package chaos

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/witness"
)

// away is a history of a burst from 10 s to 62 s in which all of etcd is away from 11 s to 60 s. Something else may go wrong meanwhile.
func away(copies []witness.Copy, more ...Event) History {
	h := calm(copies...)
	h.Events = append(h.Events, event(10, BurstBegins, "", ""), event(11, FaultBegins, "", "outage-kill for 49s"), event(60, FaultEnds, "", "outage-kill"),
		event(62, BurstEnds, "", ""), event(70, BurstBegins, "h1", "kill-host"), event(80, BurstEnds, "", ""))
	return h.with(more...)
}

// fault is one on a host, from one second to another.
func fault(kind, host string, from, to float64) []Event {
	return []Event{event(from, FaultBegins, host, kind+" "+host+" for a while"), event(to, FaultEnds, host, kind)}
}

func both(a, b []Event) []Event { return append(a, b...) }

// restarted is a process on h4 that ended, and runs again a moment later.
func restarted(at float64) []witness.Copy {
	return []witness.Copy{copyOf("1", "h4", "7", 1, at), copyOf("2", "h4", "7", at+0.1, 200)}
}

func TestAnOutageThatEndsSomethingIsReported(t *testing.T) {
	for _, c := range []struct {
		name string
		h    History
	}{
		{"it ends with its lease", away(restarted(15))},
		{"it ends after ten seconds, as if nobody had promised", away(restarted(21))},
		{"it ends when etcd is back", away(restarted(60.5))},
		{"it ends after the return, before anything else goes wrong", away(restarted(66))},
		{"it moves at the return", away([]witness.Copy{copyOf("1", "h4", "7", 1, 60.1), copyOf("2", "h5", "9", 60.2, 200)})},
		{"it never comes back", away([]witness.Copy{copyOf("1", "h4", "7", 1, 30)})},
		{"a controller is restarted meanwhile", away(restarted(33), fault("kill-distsuperd", "h1", 30, 33)...)},
		{"a controller is killed just before", away(restarted(20), fault("kill-distsuperd", "h1", 10.5, 13)...)},
		{"its own agent is restarted meanwhile", away(restarted(33), fault("kill-agent", "h4", 30, 33)...)},
		{"two controllers are restarted, with a pause", away(restarted(50), both(fault("kill-distsuperd", "h1", 20, 23), fault("kill-distsuperd", "h2", 40, 43))...)},
		{"another machine is cut off", away(restarted(40), fault("cut", "h5", 20, 50)...)},
		{"another machine's keeper dies, on a host that has a controller", away(restarted(40), fault("kill-keeper", "h1", 20, 25)...)},
		{"its machine is lost only later", away(restarted(21), fault("kill-host", "h4", 30, 40)...)},
		{"its machine was lost and healed before", away(restarted(40), fault("cut", "h4", 2, 9)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.h)
			if len(v.Ended) != 1 || !strings.Contains(v.Ended[0], "though every controller could promise") {
				t.Errorf("the judge should report one end; it reports %q", v.Ended)
			}
			if n := v.Classes["outage-kill"]; n == nil || n.Ended != 1 {
				t.Errorf("it is not in the tally: %+v", v.Classes)
			}
			if r := (Result{Verdict: v}); r.Held(true) {
				t.Error("the round counts as held")
			}
		})
	}
}

func TestWhatAnOutageMayEndIsNotReported(t *testing.T) {
	for _, c := range []struct {
		name string
		h    History
	}{
		{"it lives through it", away([]witness.Copy{copyOf("1", "h4", "7", 1, 200)})},
		{"it ends in the next burst", away(restarted(70.1))},
		{"it ended before", away(restarted(10.9))},
		{"its machine is cut off", away(restarted(24), fault("cut", "h4", 20, 50)...)},
		{"its machine is cut off from a controller", away(restarted(40), event(20, FaultBegins, "h1", "cut-edge h1-h4 for 30s"), event(50, FaultEnds, "h1", "cut-edge"))},
		{"its keeper dies", away(restarted(20), fault("kill-keeper", "h4", 19.9, 22)...)},
		{"a controller's host is lost", away(restarted(35), fault("kill-host", "h2", 20, 50)...)},
		{"a controller is away for longer than promises last", away(restarted(40), fault("kill-distsuperd", "h2", 20, 50)...)},
		{"two controllers are away one after the other", away(restarted(33), both(fault("kill-distsuperd", "h1", 20, 24), fault("stop-distsuperd", "h2", 25, 29))...)},
		{"the fault never ended", away(restarted(40), event(20, FaultBegins, "h2", "cut h2 for 5s"))},
		{"it was stopped meanwhile", away(restarted(40), event(30, Unsure, "p", ""), event(41, Wanted, "p", ""))},
		{"it began during the outage", away([]witness.Copy{copyOf("1", "h4", "7", 12, 15), copyOf("2", "h4", "7", 15.1, 200)})},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := Judge(c.h); len(v.Ended) > 0 {
				t.Errorf("the judge reports %q", v.Ended)
			}
		})
	}
}

// The numbers are those that are promised: a machine dies, and with it the leader of the distsuperd, the one of etcd, or both.
func TestABoundIsAsLongAsWhatAFaultCosts(t *testing.T) {
	for _, c := range []struct {
		costs cost
		touch int
		want  float64
	}{
		{0, 2, 3.6}, {0, 5, 6.6}, {leader, 2, 6.6}, {leader, 8, 9.6}, {election, 5, 21.6}, {leader | election, 2, 15.4}, {promises, 2, 12.4}, {promises, 15, 16.6},
	} {
		if got := Bound(c.costs, c.touch).Seconds(); got < c.want-0.05 || got > c.want+0.05 {
			t.Errorf("costs %b, touch_timeout %d: %.2f s, want %.1f s", c.costs, c.touch, got, c.want)
		}
	}
	late := calm(copyOf("1", "h1", "7", 1, 12), copyOf("2", "h1", "7", 16, 200))
	at := func(kind, host string) History {
		return late.with(event(10, BurstBegins, host, kind), event(20, BurstEnds, "", ""))
	}
	if v := Judge(at("kill-keeper", "h1")); len(v.Late) != 1 {
		t.Errorf("four seconds after a keeper's death are not too late: %+v", v)
	}
	if v := Judge(at("kill-host", "h4")); len(v.Late) != 1 {
		t.Errorf("four seconds after the death of a host that has nothing else are not too late: %+v", v)
	}
	if v := Judge(at("kill-host", "h1")); len(v.Late) != 0 || v.Classes["kill-host"].WorstGap.Seconds() != 4 {
		t.Errorf("four seconds after the death of a host with etcd are too late: %+v", v)
	}
}
