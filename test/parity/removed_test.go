package parity

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/gate"
)

// TestLongWhatAnUpdateIsRemovingIsReachedAsUnderSupervisord asks about a process that does not hear its stop while update waits
// for its end. The signal that ends it ends the update, too.
func TestLongWhatAnUpdateIsRemovingIsReachedAsUnderSupervisord(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	const stays = "[program:stays]\n" + sleeper
	sides := startBoth(t, stays+"[program:stuck]\n"+stubborn+"stopwaitsecs=600\n", nil)
	var updates [2]*exec.Cmd
	var said [2]locked
	for i, r := range sides {
		until("success: ", 2)(r)
		r.write("s.conf", header+stays)
		updates[i] = exec.Command(r.ctl, "-c", r.path("s.conf"), "update")
		updates[i].Dir, updates[i].Stdout = r.dir, &said[i]
		if err := updates[i].Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { updates[i].Process.Kill(); updates[i].Wait() })
		r.until(func() bool { return strings.Contains(r.ask("status", "stuck").Out, "STOPPING") }, "the update does not begin")
	}
	runLines(t, sides, []line{{text: "status"}, {text: "pid stuck"}, {text: "pid all"}, {text: "signal CONT stuck"}, {text: "signal CONT all"},
		{text: "clear stuck"}, {text: "fg stuck"}, {text: "start stuck"}, {text: "remove stuck"}, {text: "add stuck"}, {text: "signal KILL stuck"}}, &metDifferences{})
	for i, r := range sides {
		if err := updates[i].Wait(); err != nil || said[i].String() != "stuck: stopped\nstuck: removed process group\n" {
			t.Errorf("%s: update: %v, and said %s", r, err, &said[i])
		}
	}
	runLines(t, sides, []line{{text: "status"}}, &metDifferences{})
}
