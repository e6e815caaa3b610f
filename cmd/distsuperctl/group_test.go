package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// conf is a configuration file that a test rewrites.
type conf struct {
	t    *testing.T
	file string
}

func newConf(t *testing.T) *conf {
	return &conf{t, filepath.Join(t.TempDir(), "fleet.ini")}
}

// is writes the sections; each begins with the kind and name, and goes on with keys.
func (c *conf) is(sections ...string) {
	c.t.Helper()
	text := "[etcd]\nendpoints = 127.0.0.1:1\n" // the store is the test's; nobody connects there
	for _, s := range sections {
		head, keys, _ := strings.Cut(s, " ")
		text += "[" + head + "]\n" + strings.ReplaceAll(keys, ";", "\n") + "\n"
	}
	if err := os.WriteFile(c.file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

const sleeps = " command=/bin/sleep 1000;touch_timeout=2"

func TestRereadShowsAndUpdateAppliesWhatTheFileSays(t *testing.T) {
	file := newConf(t)
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		file.is("program:web"+sleeps, "program:a"+sleeps, "program:b"+sleeps+";priority=5", "group:g programs=a,b", "program:old"+sleeps)
		f.wants(exitOK, "g: available\nold: available\nweb: available\n", "reread", "-c", file.file)
		f.wants(exitOK, "g: added process group\nold: added process group\nweb: added process group\n", "update", "-c", file.file)
		f.wants(exitOK, "No config updates to processes\n", "reread", "-c", file.file)
		f.wants(exitOK, "", "update", "-c", file.file)
		for _, name := range []string{"web", "g:a", "g:b", "old"} {
			f.await(name, "RUNNING on m1")
		}
		file.is("program:web"+sleeps+";environment=A=1", "program:a"+sleeps+";stopwaitsecs=3", "program:b"+sleeps+";priority=5", "group:g programs=a,b", "program:new"+sleeps)
		f.wants(exitOK, "g: changed\nnew: available\nold: disappeared\nweb: changed\n", "reread", "-c", file.file)
		before := f.starts("g:a")
		f.wants(exitGeneric, "ERROR: no such group: nope\nold: stopped\nold: removed process group\n", "update", "-c", file.file, "old", "nope")
		f.await("old", "none")
		f.wants(exitOK, "g: updated process group\n", "update", "-c", file.file, "g")
		if f.starts("g:a") != before {
			t.Error("a change that g:a does not see restarted it")
		}
		f.wants(exitOK, "web: stopped\nweb: updated process group\nnew: added process group\n", "update", "all", "-c", file.file)
		f.await("web", "RUNNING on m1")
		f.wants(exitOK, `g:a                              in use    auto      999:999
g:b                              in use    auto      999:5
new                              in use    auto      999:999
web                              in use    auto      999:999
`, "avail", "-c", file.file)
	})
}

// starts is the token of a process's run.
func (f *fleet) starts(name string) int64 {
	f.t.Helper()
	snap, err := f.session().client.Snapshot(f.t.Context())
	if err != nil || snap.Process(name) == nil || snap.Process(name).Owner == nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	return snap.Process(name).Owner.Token
}

func TestGroupsAreAddedAndRemovedOneByOne(t *testing.T) {
	file := newConf(t)
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		file.is("program:web"+sleeps, "program:a"+sleeps+";autostart=false", "group:g programs=a")
		f.wants(exitGeneric, "web: added process group\nERROR: no such process/group: nope\n", "add", "web", "nope", "-c", file.file)
		f.wants(exitOK, "ERROR: process group already active\n", "add", "web", "-c", file.file)
		f.wants(exitOK, "g:a                              avail     manual    999:999\nweb                              in use    auto      999:999\n", "avail", "-c", file.file)
		f.wants(exitOK, "g: added process group\n", "add", "g", "-c", file.file)
		f.await("web", "RUNNING on m1")
		f.wants(exitGeneric, "ERROR: process/group still running: web\nERROR: no such process/group: a\ng: removed process group\n", "remove", "web", "a", "g")
		f.wants(exitOK, "g: available\n", "reread", "-c", file.file)
		f.wants(exitOK, "web: stopped\n", "stop", "web")
		f.wants(exitOK, "web: removed process group\n", "remove", "web")
		f.await("web", "none")
		f.wants(exitOK, "", "remove")
		f.wants(exitOK, "", "add")
	})
}

func TestRemoveRefusesWhatWaitsForAMachine(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("later", func(p *api.Program) { p.Machines, p.Autostart = []string{"zone=q"}, true }))
		time.Sleep(time.Second)
		f.wants(exitGeneric, "ERROR: process/group still running: later\n", "remove", "later")
		f.wants(exitOK, "later: removed process group\n", "remove", "later", "--stop")
	})
}

func TestRefusedFileIsSaidInSupervisorsWords(t *testing.T) {
	file := newConf(t)
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		file.is("program:web startsecs=soon")
		for _, command := range []string{"reread", "update", "avail", "add web"} {
			r := f.ctl(append(strings.Fields(command), "-c", file.file)...)
			if r.code != exitGeneric || !strings.HasPrefix(r.out, "ERROR: CANT_REREAD: ") || !strings.Contains(r.out, "startsecs") {
				t.Errorf("%s: exit %d: %s%s", command, r.code, r.out, r.errout)
			}
		}
		file.is("program:web" + sleeps)
		for _, command := range []string{"reread x", "avail x", "shutdown x", "reload x", "version x"} {
			word, _, _ := strings.Cut(command, " ")
			f.wants(exitGeneric, "Error: "+word+" accepts no arguments\n", append(strings.Fields(command), "-c", file.file)...)
		}
	})
}

func TestGroupCommandsWriteJSON(t *testing.T) {
	file := newConf(t)
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		file.is("program:web"+sleeps, "program:b"+sleeps)
		for _, c := range []struct{ args, has string }{
			{"reread", `"change": "available"`}, {"avail", `"in_use": false`}, {"add web nope", `"result": "no such group"`}, {"update", `"result": "added"`},
			{"reread", `[]`}, {"update", `[]`}, {"add", `[]`}, {"remove", `[]`}, {"pid all", `"process": "web"`}, {"remove web --stop", `"result": "removed"`}, {"signal HUP nope", `"no such process"`}, {"clear nope", `"ok": false`},
		} {
			r := f.ctl(append(strings.Fields(c.args), "--json", "-c", file.file)...)
			var v any
			if err := json.Unmarshal([]byte(r.out), &v); err != nil || !strings.Contains(r.out, c.has) {
				t.Errorf("%s: %v; want %s in\n%s%s", c.args, err, c.has, r.out, r.errout)
			}
		}
	})
}

func TestShutdownOfAFleetMustBeSaid(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		if r := f.wants(exitUsage, "", "shutdown"); !strings.Contains(r.errout, "--fleet") {
			t.Error(r.errout)
		}
	})
}
