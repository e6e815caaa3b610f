package parity

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stubborn does not end by TERM.
const stubborn = "command=sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n"

// A life is a configuration, and what is asked on both sides; what the logs say of it has to be the same.
type life struct {
	name, conf string
	ready      func(r *ran)
	lines      []line
	// sort is set where the orders of starts and ends mean nothing: the members of a group that is started by hand
	// start at once in ours, and end in the order of their deaths on both sides.
	sort bool
	// slow is set where the end takes so long that it is sure to be waited for, and said to be.
	slow bool
}

var lives = []life{
	{name: "a stop that nothing hears", conf: "[program:a]\n" + stubborn + "stopwaitsecs=1\n", ready: until("success: ", 1),
		lines: []line{{text: "stop a"}, {text: "status"}, {text: "start a"}, {text: "restart a"}}, slow: true},
	{name: "a stop that is heard late", conf: "[program:a]\n" + stubborn + "stopwaitsecs=4\n", ready: until("success: ", 1), lines: []line{{text: "stop a"}}, slow: true},
	{name: "the end of all, that one does not hear", conf: "[program:a]\n" + stubborn + "stopwaitsecs=1\n[program:b]\n" + sleeper, ready: until("success: ", 2)},
	{name: "a stop of a group", conf: "[group:g]\nprograms=a,b,c\n[program:a]\n" + sleeper + "[program:b]\n" + stubborn + "stopwaitsecs=1\n[program:c]\n" + sleeper,
		ready: until("success: ", 3), lines: []line{{text: "stop g:*", sort: true}, {text: "status"}, {text: "start g:*", sort: true}}, sort: true},
	{name: "a stop signal of its own", conf: "[program:a]\nstopsignal=USR1\nstartsecs=0\ncommand=sh -c 'trap \"exit 3\" USR1; echo ready; while :; do sleep 0.1; done'\nstdout_logfile=%(here)s/out\n",
		ready: func(r *ran) { r.until(func() bool { return r.read("out") != "" }, "it does not get ready") }, lines: []line{{text: "stop a"}, {text: "status"}}},
	{name: "a stop while it starts", conf: "[program:a]\ncommand=sleep 1000\nstartsecs=600\n", ready: until("spawned: ", 1), lines: []line{{text: "stop a"}, {text: "status"}}},
	{name: "a restart", conf: "[program:a]\n" + sleeper, ready: until("success: ", 1), lines: []line{{text: "restart a"}, {text: "restart a"}, {text: "stop a"}}},
	{name: "a kill from outside", conf: "[program:a]\n" + sleeper + "[program:b]\nautorestart=false\n" + sleeper, ready: until("success: ", 2),
		lines: []line{{text: "signal KILL a", after: until("success: a", 2)}, {text: "signal TERM b", after: until("exited: b", 1)}, {text: "status"}}},
}

// TestWhatEndsEndsAsUnderSupervisord compares what is said of stops, on the command line and in the logs.
func TestWhatEndsEndsAsUnderSupervisord(t *testing.T) {
	for _, l := range lives {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			sides := startBoth(t, l.conf, nil)
			if l.ready != nil {
				onBoth(sides, l.ready)
			}
			runLines(t, sides, l.lines, &metDifferences{})
			var stories [2]story
			for i, r := range sides {
				if code := r.stop(); code != 0 {
					t.Errorf("%s: exit code %d", r, code)
				}
				stories[i] = r.story()
				if l.sort {
					slices.Sort(stories[i].Spawned)
					slices.Sort(stories[i].Ending)
				}
				if !l.slow {
					stories[i].dropWaits()
				}
			}
			if problem := stories[0].unlike(stories[1]); problem != "" {
				t.Error(problem)
			}
		})
	}
}

// family is a shell and its child, which tell by files what they are sent: family NAME. The child hears no TERM.
const family = `#!/bin/sh
cd "$(dirname "$0")"
sh -c "trap 'echo TERM >>$1.child' TERM; echo \$\$ >$1.pid; while :; do sleep 0.1; done" &
trap "echo TERM >>$1.parent; $2" TERM
while :; do sleep 0.1; done
`

// TestGroupsOfProcessesAreSignalledAsUnderSupervisord looks at who hears what of a stop.
func TestGroupsOfProcessesAreSignalledAsUnderSupervisord(t *testing.T) {
	t.Parallel()
	type program struct {
		name, atTerm, settings string
		// orphaned is set where the main process ends by TERM and its child does not. Then supervisord forgets the child,
		// and ours kills it, whatever it was about to say.
		orphaned bool
	}
	programs := []program{
		{"alone", "exit 0", "", true},
		{"together", "exit 0", "stopasgroup=true\n", true},
		{"killed", ":", "killasgroup=true\n", false},
		{"late", ":", "stopasgroup=true\n", false},
	}
	var conf strings.Builder
	for _, p := range programs {
		fmt.Fprintf(&conf, "[program:%s]\ncommand=sh %%(here)s/family %s '%s'\nstartsecs=0\nstopwaitsecs=2\nstdout_logfile=NONE\nstderr_logfile=NONE\n%s",
			p.name, p.name, p.atTerm, p.settings)
	}
	sides := startBoth(t, conf.String(), map[string]string{"family": family})
	for _, r := range sides {
		r.until(func() bool {
			return !slices.ContainsFunc(programs, func(p program) bool { return r.read(p.name+".pid") == "" })
		}, "the families do not come up")
	}
	var lines []line
	for _, p := range programs {
		lines = append(lines, line{text: "stop " + p.name})
	}
	runLines(t, sides, lines, &metDifferences{})
	for _, p := range programs {
		var heard [2]string
		var lives [2]bool
		for i, r := range sides {
			heard[i] = fmt.Sprintf("parent %q", r.read(p.name+".parent"))
			if !p.orphaned {
				heard[i] += fmt.Sprintf(", child %q", r.read(p.name+".child"))
			}
			pid, err := strconv.Atoi(strings.TrimSpace(r.read(p.name + ".pid")))
			if err != nil || pid < 2 {
				t.Fatalf("%s: %s has the pid %d: %v", r, p.name, pid, err)
			}
			lives[i] = !r.within(time.Second, func() bool { return unix.Kill(pid, 0) != nil })
			if lives[i] {
				t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
			}
		}
		if heard[0] != heard[1] {
			t.Errorf("%s: heard by ours: %s, by theirs: %s", p.name, heard[0], heard[1])
		}
		if lives[0] {
			t.Errorf("%s: the child outlives its stop, which nothing may", p.name)
		}
		if lives[1] != p.orphaned {
			t.Errorf("%s: under supervisord the child lives: %v, want %v", p.name, lives[1], p.orphaned)
		}
	}
}

// TestStartsAndShutdownFollowThePriorities compares the order of many groups. Within a group supervisord starts in the
// order in which the file names programs, ours by their own priorities and names: members are named in that order here.
func TestStartsAndShutdownFollowThePriorities(t *testing.T) {
	t.Parallel()
	var conf strings.Builder
	const groups, members = 10, 3
	for g := range groups {
		var names []string
		for m := range members {
			name := fmt.Sprintf("g%d_%d", g, m)
			names = append(names, name)
			fmt.Fprintf(&conf, "[program:%s]\n%s", name, sleeper)
		}
		fmt.Fprintf(&conf, "[group:g%d]\nprograms=%s\npriority=%d\n", g, strings.Join(names, ","), (g*3)%7)
	}
	sides := startBoth(t, conf.String(), nil)
	var stories [2]story
	for i, r := range sides {
		until("success: ", groups*members)(r)
		if code := r.stop(); code != 0 {
			t.Errorf("%s: exit code %d", r, code)
		}
		s := r.story()
		// The members of a group are stopped together; their order is that of their deaths.
		for j, name := range s.Ending {
			s.Ending[j], _, _ = strings.Cut(name, "_")
		}
		stories[i] = s
	}
	if problem := stories[0].unlike(stories[1]); problem != "" {
		t.Error(problem)
	}
	if n := len(stories[0].Ending); n != groups*members {
		t.Errorf("%d processes ended, want %d", n, groups*members)
	}
}

// TestAStopInBackoffGivesAllTriesBack shows the difference "backoff-counter".
func TestAStopInBackoffGivesAllTriesBack(t *testing.T) {
	t.Parallel()
	if !slices.ContainsFunc(Differences, func(d Difference) bool { return d.ID == "backoff-counter" }) {
		t.Error("the difference is not in the table")
	}
	const retries = 3
	sides := startBoth(t, metronome+fmt.Sprintf("[program:a]\ncommand=false\nstartretries=%d\n", retries), nil)
	var stopped [2]answer
	onBoth(sides, func(r *ran) { // on neither side after the other: BACKOFF lasts three seconds now
		r.ask("version") // the first question takes longer
		until("exited: a", retries)(r)
		stopped[slices.Index(sides[:], r)] = r.ask("stop", "a")
	})
	if problem := stopped[0].unlike(stopped[1]); problem != "" {
		t.Fatalf("stop: %s", problem)
	}
	runLines(t, sides, []line{{text: "status a"}, {text: "start a", after: until("gave up: a", 1)}}, &metDifferences{})
	for _, r := range sides {
		again := strings.Count(r.log(), "spawned: 'a'") - retries
		if want := retries + 1; (again == want) != r.ours {
			t.Errorf("%s: after the stop it is tried %d times, of %d", r, again, want)
		}
	}
}

// TestSpawnErrorsAreSaidAsBySupervisord lets programs start by themselves that cannot. Without retries both sides try
// once: that ours gives such a program up at once is a difference of its own.
func TestSpawnErrorsAreSaidAsBySupervisord(t *testing.T) {
	t.Parallel()
	conf, _, _ := strings.Cut(strings.TrimPrefix(broken, metronome), "[program:quick]")
	programs := strings.Count(conf, "[program:")
	sides := startBoth(t, strings.ReplaceAll(conf, "autostart=false", "startretries=0"), map[string]string{"plain": ""})
	var stories [2]story
	for i, r := range sides {
		until("gave up: ", programs)(r)
		s := r.story()
		for _, said := range s.Of {
			for j := range said {
				said[j].Text = strings.ReplaceAll(said[j].Text, "too many start retries too quickly", "it cannot be started here")
			}
		}
		s.Daemon = slices.DeleteFunc(s.Daemon, func(text string) bool { return !strings.Contains(text, "spawnerr: ") })
		slices.Sort(s.Daemon) // ours looks for several at once
		stories[i] = s
	}
	if problem := stories[0].unlike(stories[1]); problem != "" {
		t.Error(problem)
	}
	if n := len(stories[0].Daemon); n != programs {
		t.Errorf("%d spawn errors are told of, want %d", n, programs)
	}
	runLines(t, sides, []line{{text: "status"}}, &metDifferences{})
}
