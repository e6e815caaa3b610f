package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
)

// leaving makes a process that no program asks for any more, and that still runs.
func (w *tailWorld) leaving(process, machine string, token int64) {
	w.put(w.keys.Owner(process), api.Owner{Machine: machine, Instance: machine, Token: token})
	w.put(w.keys.Touch(machine, process), api.Touch{Token: token, Instance: machine})
	w.put(w.keys.Status(machine, process), api.Status{Token: token, Instance: machine,
		Observed: api.Observed{State: api.Stopping, PID: int(token) + 1000, Started: time.Now()}})
}

const noStart = "ERROR (abnormal termination): it is being removed, since no program asks for it any more\n"

// answer is what a command line is to say.
type answer struct {
	line string
	code int
	out  string // "*" is anything
}

// atLeaving is what each command that takes processes says of one that is being removed: gone, beside one that is not: stays.
var atLeaving = []answer{
	{"status gone", exitOK, "gone                             STOPPING  m1\n"},
	{"pid gone", exitOK, "1005\n"},
	{"pid all", exitOK, "1005\n1006\n"},
	{"signal KILL gone", exitOK, "gone: signalled\n"},
	{"signal KILL all", exitOK, "stays: signalled\ngone: signalled\n"},
	{"signal KILL g*", exitOK, "gone: signalled\n"},
	{"signal KILL gone:*", exitOK, "gone: signalled\n"},
	{"stop --no-wait gone", exitOK, "gone: already asked\n"},
	{"stop --timeout 200ms gone", exitGeneric, "gone: ERROR (failed): not done within 200ms, and it goes on; STOPPING\n"},
	{"start gone", exitNotRunning, "gone: " + noStart},
	{"start all", exitOK, ""},
	{"restart gone", exitNotRunning, "gone: ERROR (not running)\ngone: " + noStart},
	{"restart --no-wait gone", exitNotRunning, "gone: " + noStart},
	{"move gone", exitGeneric, ""},
	{"tail gone", exitOK, "last words\n"},
	{"fg gone", exitGeneric, "ERROR: process not running\n"},
	{"clear gone", exitOK, "gone: cleared\n"},
	{"clear all", exitOK, "stays: cleared\ngone: cleared\n"},
	{"why gone", exitOK, "*"},
	{"history gone", exitOK, ""},
	{"remove gone", exitGeneric, "ERROR: process/group still running: gone\n"},
}

// TestWhatIsBeingRemovedIsThereForEveryCommand: what status shows can be named, and the answer is true.
func TestWhatIsBeingRemovedIsThereForEveryCommand(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.load(program("stays", nil))
	w.wanted("stays", "m1", 6)
	w.leaving("gone", "m1", 5)
	w.agents["m1"].set("gone", "stdout", "last words\n")
	for _, c := range atLeaving {
		r := w.wants(c.code, c.out, strings.Fields(c.line)...)
		if said := r.out + r.errout; strings.Contains(said, "no such") || strings.Contains(said, "did you mean") || strings.Contains(said, "shows what there is") {
			t.Errorf("%s: it says that there is no such process:\n%s", c.line, said)
		}
	}
	if got := w.agents["m1"].posted(); strings.Count(got, "signal gone KILL") != 4 || strings.Count(got, "signal stays KILL") != 1 {
		t.Errorf("the agent was asked for %s", got)
	}
}

// TestEveryCommandThatTakesAProcessIsTriedWithOneThatIsBeingRemoved finds commands by what their completion offers.
func TestEveryCommandThatTakesAProcessIsTriedWithOneThatIsBeingRemoved(t *testing.T) {
	w := newTailWorld(t, "m1")
	w.leaving("gone", "m1", 5)
	s := w.session()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.ValidArgsFunction == nil {
			return
		}
		offered, _ := cmd.ValidArgsFunction(cmd, nil, "")
		second, _ := cmd.ValidArgsFunction(cmd, []string{"x"}, "")
		if !slices.Contains(append(offered, second...), "gone") || cmd.Name() == "update" {
			return // of update, what was removed is over already
		}
		if !slices.ContainsFunc(atLeaving, func(a answer) bool { return strings.HasPrefix(a.line, cmd.Name()+" ") }) {
			t.Errorf("%s takes processes, and is in no line", cmd.CommandPath())
		}
	}
	visit(newRoot(s.ctl))
}
