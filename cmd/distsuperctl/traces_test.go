package main

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// TestAMachineIsThereForEveryCommandWhateverIsLeftOfIt: what machines lists can be named, and taken off the list.
func TestAMachineIsThereForEveryCommandWhateverIsLeftOfIt(t *testing.T) {
	w := newTailWorld(t)
	for what, leave := range map[string]func(m string){
		"info":    func(m string) { w.put(w.keys.Info(m), api.MachineInfo{Name: m}) },
		"cordon":  func(m string) { w.put(w.keys.Cordon(m), api.Cordon{Drain: true}) },
		"death":   func(m string) { w.put(w.keys.Dead(m), api.ConfirmDead{Instance: "i"}) },
		"trouble": func(m string) { w.put(w.keys.Trouble(m), api.Trouble{Tries: 2}) },
		"losses":  func(m string) { w.put(w.keys.Losses(m), api.Losses{Count: 2}) },
		"damage":  func(m string) { w.putRaw(w.keys.Info(m), "{") },
		"loss":    func(m string) { w.putRaw(w.keys.Losses(m), "{") },
		"cordon?": func(m string) { w.putRaw(w.keys.Cordon(m), "{") },
	} {
		for _, last := range []string{"machines forget", "machines remove", "machines remove --dead"} {
			m := "m1"
			leave(m)
			for _, line := range []string{"cordon", "uncordon", "drain --no-wait", "uncordon", "machines confirm-dead", "history"} {
				line += " " + m
				if r := w.ctl(strings.Fields(line)...); r.code != exitOK {
					t.Errorf("of its %s: %s: exit %d, %s%s", what, line, r.code, r.out, r.errout)
				}
				leave(m)
			}
			if r := w.wants(exitOK, "*", "machines"); !strings.Contains(r.out, m) {
				t.Errorf("of its %s, machines shows\n%s", what, r.out)
			}
			w.wants(exitOK, "*", append(strings.Fields(last), m)...)
			if r := w.wants(exitOK, "*", "machines"); strings.Contains(r.out, m) {
				t.Errorf("of its %s: after %s machines shows\n%s", what, last, r.out)
			}
		}
	}
}

// TestAControllerThatHasEndedIsForgottenAndNoOther: what controllers lists as gone can be taken off the list.
func TestAControllerThatHasEndedIsForgottenAndNoOther(t *testing.T) {
	w := newTailWorld(t)
	w.controller("d1", 1, new(asked))
	w.put(w.keys.Controller("d2"), api.Controller{ID: "d2", Host: "h", HTTP: "127.0.0.1:1", Fingerprint: "x"})
	const advice = "distsuperctl controllers forget d2"
	if r := w.wants(exitGeneric, "*", "pid", "--controller", "d2"); !strings.Contains(r.errout, advice) {
		t.Errorf("pid does not say %q: %s", advice, r.errout)
	}
	if r := w.wants(exitGeneric, "", "controllers", "forget", "d1"); !strings.Contains(r.errout, "stands for election") {
		t.Errorf("of one that stands for election: %s", r.errout)
	}
	w.wants(exitOK, "d2: forgotten\n", "controllers", "forget", "d2")
	if r := w.wants(exitOK, "*", "controllers"); strings.Contains(r.out, "d2") || !strings.Contains(r.out, "d1") {
		t.Errorf("controllers shows\n%s", r.out)
	}
	w.wants(exitUsage, "", "controllers", "forget", "d2")
	if r := w.wants(exitOK, "*", "history"); !strings.Contains(r.out, "controller d2  forgotten  [ann@desk]") {
		t.Errorf("history says %s", r.out)
	}
}

// TestANewControllerWaitsAndSaysWhatShortensThat: all others were lost at once, so nobody vouches for it.
func TestANewControllerWaitsAndSaysWhatShortensThat(t *testing.T) {
	w := newTailWorld(t)
	w.put(w.keys.Controller("d1"), api.Controller{ID: "d1", Host: "h", HTTP: "127.0.0.1:1", Fingerprint: "x", Incarnation: "a", Member: true})
	w.put(w.keys.Controller("d2"), api.Controller{ID: "d2", Host: "h", HTTP: "127.0.0.1:1", Fingerprint: "y", Incarnation: "b", WaitsUntil: time.Now().Add(time.Hour)})
	const advice = "distsuperctl controllers forget --dead d1"
	if r := w.wants(exitOK, "*", "controllers"); !strings.Contains(r.errout, "d2 is new, and starts nothing elsewhere") || !strings.Contains(r.errout, advice) {
		t.Errorf("controllers says\n%s%s", r.out, r.errout)
	}
	w.wants(exitOK, "d1: forgotten\n", strings.Fields(advice)[1:]...)
	if r := w.wants(exitOK, "*", "controllers"); strings.Contains(r.errout, "is new") {
		t.Errorf("controllers says\n%s%s", r.out, r.errout)
	}
}
