package main

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
)

// TestAMachineIsThereForEveryCommandWhateverIsLeftOfIt: what machines lists can be named, and taken off the list.
func TestAMachineIsThereForEveryCommandWhateverIsLeftOfIt(t *testing.T) {
	w := newTailWorld(t)
	for what, leave := range map[string]func(m string){
		"info":    func(m string) { w.put(w.keys.Info(m), api.MachineInfo{Name: m}) },
		"cordon":  func(m string) { w.put(w.keys.Cordon(m), api.Cordon{Drain: true}) },
		"death":   func(m string) { w.put(w.keys.Dead(m), api.ConfirmDead{Instance: "i"}) },
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
