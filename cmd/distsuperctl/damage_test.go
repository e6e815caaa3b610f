package main

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
)

// damaged is a fleet in which web runs, beside other, and a value of it cannot be read.
func damaged(t *testing.T, key func(w *tailWorld) string) *tailWorld {
	w := newTailWorld(t, "m1")
	web, other := program("web", nil), program("other", nil)
	w.load(web, other)
	processes, err := spec.Processes(web)
	if err != nil {
		t.Fatal(err)
	}
	w.wanted("web", "m1", 5)
	w.put(w.keys.Touch("m1", "web"), api.Touch{Token: 5, Instance: "m1"})
	w.put(w.keys.Placement("m1", "web"), api.Placement{Token: 5, Instance: "m1", Process: processes[0]})
	w.putRaw(key(w), "{")
	return w
}

// TestDamageInEtcdIsLedOutOf: a program that cannot be read was shown as one that is being removed, and kept every load from working;
// the only way out was to delete its key, which stops what runs.
func TestDamageInEtcdIsLedOutOf(t *testing.T) {
	file := newConf(t)
	file.is("program:web"+sleeps+";autostart=false", "program:other"+sleeps+";autostart=false")
	w := damaged(t, func(w *tailWorld) string { return w.keys.Program("web") })
	r := w.wants(exitOK, "*", "status", "web")
	if !strings.Contains(r.out, "RUNNING") || !strings.Contains(r.errout, "cannot be read: "+w.keys.Program("web")+": ") {
		t.Errorf("status says %s%s", r.out, r.errout)
	}
	for _, line := range []string{"stop web", "start web", "restart web", "stop all", "remove --stop web"} {
		if r := w.wants(exitGeneric, "*", strings.Fields(line)...); !strings.Contains(r.out+r.errout, "distsuperctl load writes it again") {
			t.Errorf("%s says %s%s", line, r.out, r.errout)
		}
	}
	w.wants(exitOK, "other: start asked\n", "start", "--no-wait", "other")
	if r := w.wants(exitOK, "*", "load", "--yes", "-c", file.file); !strings.Contains(r.out, "~ web") || !strings.Contains(r.out, "0 programs added, 1 changed, 0 removed") {
		t.Errorf("load says %s", r.out)
	}
	w.wants(exitOK, "web: stop asked\n", "stop", "--no-wait", "web")
	if r := w.wants(exitOK, "*", "status", "web"); strings.Contains(r.errout, "cannot be read") {
		t.Errorf("after the load, status says %s", r.errout)
	}
}

func TestALoadLeavesAProgramAloneThatCannotBeReadAndIsNotInIt(t *testing.T) {
	file := newConf(t)
	file.is("program:other" + sleeps + ";autostart=false")
	w := damaged(t, func(w *tailWorld) string { return w.keys.Program("web") })
	w.wants(exitOK, "*", "load", "--yes", "-c", file.file)
	if len(w.server.Entries(w.keys.Program("web"))) != 1 {
		t.Error("the program is gone")
	}
}

func TestAnIntentOrStatusThatCannotBeReadIsWrittenAnew(t *testing.T) {
	for what, key := range map[string]func(w *tailWorld) string{
		"intent": func(w *tailWorld) string { return w.keys.Intent("web") },
		"status": func(w *tailWorld) string { return w.keys.Status("m1", "web") },
	} {
		w := damaged(t, key)
		if r := w.ctl("stop", "--no-wait", "all"); r.code != exitOK || r.out != "web: stop asked\n" {
			t.Errorf("of its %s: exit %d, %s%s", what, r.code, r.out, r.errout)
		}
		if i, err := w.session().client.Snapshot(t.Context()); err != nil || i.Process("web").Intent == nil || i.Process("web").Intent.Want != api.WantStop {
			t.Errorf("of its %s: it is not to stop: %v", what, err)
		}
	}
}
