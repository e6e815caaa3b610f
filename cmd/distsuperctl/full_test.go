package main

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
)

// A full etcd only deletes. That is enough to stop a process: what is wanted is forgotten, then the placement goes, and then
// the touch. What could not be written is written once there is room.
func TestStopWorksWhileEtcdIsFull(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil), program("other", nil))
		f.wants(0, "web: started\nother: started\n", "start", "web", "other")
		f.server.SetNoSpace(true)

		r := f.wants(0, "web: stopped\n", "stop", "web")
		if !strings.Contains(r.errout, "etcd is full (NOSPACE)") || !strings.Contains(r.errout, "distsuperctl defrag") {
			t.Errorf("stop says on stderr: %s", r.errout)
		}
		f.wants(0, "web: ERROR (not running)\n", "stop", "web")
		if r, ok := f.boxes["m1"].keeper.Run("web"); ok && !r.Done {
			t.Error("it runs")
		}
		if r := f.ctl("status"); !strings.Contains(r.out, "it has ended; m1 could not tell how yet") || !strings.Contains(r.errout, "etcd is full") {
			t.Errorf("status says\n%s%s", r.out, r.errout)
		}
		for _, args := range [][]string{{"start", "web"}, {"restart", "other"}, {"cordon", "m1"}} {
			if r := f.ctl(args...); r.code != exitGeneric || !strings.Contains(r.errout, "etcd is full (NOSPACE)") || !strings.Contains(r.errout, "distsuperctl defrag") {
				t.Errorf("%v: exit %d, %s%s", args, r.code, r.out, r.errout)
			}
		}
		time.Sleep(time.Minute)
		if f.state("other") != "RUNNING on m1" {
			t.Errorf("what nobody stopped is %s", f.state("other"))
		}

		f.server.SetNoSpace(false)
		f.awaitThat("the machine tells how it ended", func() bool {
			p := f.process("web")
			return p.Status != nil && p.Status.Released && !p.Owner.Placed
		})
		f.wants(0, "web: started\n", "start", "web")
	})
}

// What no lease of its own protects any more is stopped in time, full or not.
func TestMachineThatDiesWhileEtcdIsFullHoldsNothing(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		f.wants(0, "web: started\n", "start", "web")
		on := f.process("web").Owner.Machine
		f.server.SetNoSpace(true)
		time.Sleep(time.Minute) // the leases of both are renewed all the while
		if f.state("web") != "RUNNING on "+on {
			t.Fatal(f.state("web"))
		}
		f.kill(on)
		f.awaitThat("its touch expires", func() bool { return f.process("web").Touch == nil })
		if len(f.server.Entries(f.keys.Touches("m1")))+len(f.server.Entries(f.keys.Touches("m2"))) != 0 {
			t.Error("somebody holds it")
		}
		if r := f.ctl("status", "web"); !strings.Contains(r.out, "waiting for a controller to place it elsewhere, nothing can be placed while etcd is full") {
			t.Errorf("status says %s", r.out)
		}
		f.server.SetNoSpace(false)
		f.await("web", "RUNNING on "+map[string]string{"m1": "m2", "m2": "m1"}[on])
	})
}

func TestRemoveOfAStoppedGroupWorksWhileEtcdIsFull(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		f.server.SetNoSpace(true)
		f.wants(0, "web: removed process group\n", "remove", "web")
		if got := f.server.Entries(f.keys.Programs()); len(got) != 0 {
			t.Errorf("left is %v", got)
		}
	})
}

// process is what is known about a process now.
func (f *fleet) process(name string) client.Process {
	f.t.Helper()
	snap, err := client.New(f.kv, f.keys, "x").Snapshot(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	if p := snap.Process(name); p != nil {
		return *p
	}
	f.t.Fatalf("there is no %s", name)
	return client.Process{}
}

// awaitThat waits until something is so.
func (f *fleet) awaitThat(what string, is func() bool) {
	f.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("not so: %s", what)
		}
	}
}
