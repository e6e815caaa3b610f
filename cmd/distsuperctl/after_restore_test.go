package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store/recovery"
)

// A machine that refuses an etcd which went back looks dead there, and is not: nothing that is done about dead machines may be done to it.
func TestAMachineThatRefusesEtcdIsNotTakenForDead(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("pinned", func(p *api.Program) { p.Machines = []string{"m1"} }))
		f.wants(exitOK, "pinned: started\n", "start", "pinned")
		f.kill("m1")
		f.await("pinned", "UNKNOWN on m1")
		r := recovery.Reporter{KV: f.server.Client("m1 in its other life"), Keys: f.keys, Clock: clock.Go{}, Machine: "m1"}
		if err := r.Report(t.Context(), api.Seen{Tokens: 5, Why: "test"}, nil); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"machines"}, {"status"}} {
			if r := f.ctl(args...); !strings.Contains(r.errout, "machines that refuse this etcd: m1") || !strings.Contains(r.errout, "init db --after-restore") {
				t.Errorf("%v: %s%s", args, r.out, r.errout)
			}
		}
		if r := f.ctl("machines"); !strings.Contains(r.out, "refuses etcd") {
			t.Errorf("machines: %s", r.out)
		}
		for _, args := range [][]string{{"machines", "confirm-dead", "m1"}, {"machines", "remove", "--dead", "m1"}, {"machines", "forget", "m1"}} {
			if r := f.wants(exitGeneric, "", args...); !strings.Contains(r.errout, "machine m1 is not off") {
				t.Errorf("%v: %s", args, r.errout)
			}
		}
	})
}

// Whoever leads by a store that went back, and does not know that it did, starts nothing of which a machine says that it runs it.
func TestNothingIsStartedThatAMachineRunsWhichRefusesEtcd(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil), program("job", nil))
		f.wants(exitOK, "job: started\nweb: started\n", "start", "job", "web")
		for _, name := range []string{"job", "web"} {
			f.ctl("move", name, "m1")
			f.await(name, "RUNNING on m1")
		}
		r := recovery.Reporter{KV: f.server.Client("m1 in its other life"), Keys: f.keys, Clock: clock.Go{}, Machine: "m1"}
		held := []api.Held{ // job was fenced
			{Placement: api.Placement{Token: 9, Process: api.Process{Group: "web", Name: "web"}}, Status: api.Status{Token: 9, Observed: api.Observed{PID: 7}}},
			{Placement: api.Placement{Token: 9, Process: api.Process{Group: "job", Name: "job"}}, Status: api.Status{Token: 9}}}
		if err := r.Report(t.Context(), api.Seen{Tokens: 9, Why: "test"}, held); err != nil {
			t.Fatal(err)
		}
		f.kill("m1")
		f.await("job", "RUNNING on m2")
		time.Sleep(10 * time.Second)
		if got := f.state("web"); strings.Contains(got, "m2") {
			t.Errorf("web is %s, and runs on m1", got)
		}
		if r := f.ctl("why", "web"); !strings.Contains(r.out, "m1 runs it, and refuses this etcd") {
			t.Errorf("why: %s", r.out)
		}
		time.Sleep(time.Minute) // m1 says nothing any more
		f.await("web", "RUNNING on m2")
	})
}

func TestAfterRestoreAsksForWhatItCannotKnow(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		f.wants(exitOK, "web: started\n", "start", "web")
		f.kill("m1")
		time.Sleep(10 * time.Second)
		if r := f.wants(exitGeneric, "", "init", "db", "--after-restore", "--yes"); !strings.Contains(r.errout, "do not answer, and may run what nobody else knows of: m1") {
			t.Errorf("without a word about m1: %s", r.errout)
		}
		if r := f.wants(exitGeneric, "machines that do not answer, and are taken to be off: m1\n", "init", "db", "--after-restore", "--off", "m1"); !strings.Contains(r.errout, "--yes") {
			t.Errorf("with nobody to be asked: %s", r.errout)
		}
		if r := f.ctl("init", "db", "--after-restore", "--off", "m1", "--yes"); r.code != exitOK || !strings.Contains(r.out, "accepted; tokens go on from 10000") {
			t.Errorf("with the word of somebody: %d, %s%s", r.code, r.out, r.errout)
		}
		f.await("web", "RUNNING on m2")
		f.wants(exitOK, "web: stopped\nweb: started\n", "restart", "web")
	})
}

func TestABackupComesBackAndADamagedOneChangesNothing(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil), program("job", nil))
		f.wants(exitOK, "web: started\n", "start", "web")
		file := filepath.Join(t.TempDir(), "b")
		if r := f.ctl("backup", file); r.code != exitOK || !strings.Contains(r.out, "2 programs in ") {
			t.Fatalf("backup: %s%s", r.out, r.errout)
		}
		if r := f.wants(exitGeneric, "", "backup", file); !strings.Contains(r.errout, "--force overwrites it") {
			t.Errorf("onto a file that is there: %s", r.errout)
		}
		f.wants(exitOK, "web: stopped\n", "stop", "web")
		if r := f.ctl("restore", file, "--yes"); r.code != exitOK || !strings.Contains(r.out, "1 process with another wanted state than now") {
			t.Errorf("restore: %d, %s%s", r.code, r.out, r.errout)
		}
		f.await("web", "RUNNING on m1")
		if r := f.ctl("restore", file, "--yes"); r.code != exitOK || !strings.Contains(r.out, "nothing to restore") {
			t.Errorf("restored twice: %d, %s%s", r.code, r.out, r.errout)
		}
	})
}
