package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/advice"
)

func TestAdviceAboutThisProgramParses(t *testing.T) {
	if err := advice.Parse(func() *cobra.Command { return newRoot(newCtl(strings.NewReader(""), os.Stdout, os.Stderr)) }); err != nil {
		t.Error(err)
	}
}

// adviceIn is a state, what somebody asks in it, the advice of the answer, and that it leads out. Lines are of distsuperctl; FILE
// is a configuration with the program web.
type adviceIn struct {
	name     string
	machines []string
	make     func(f *fleet)
	ask      string
	says     string // the advice, whose command is run
	instead  string // what stands for it where the advice is for a person: NAME, or a command of another program
	then     string // a line that succeeds after that, and did not before
}

var advices = []adviceIn{
	{name: "nothing is loaded", machines: []string{"m1"}, ask: "start web", says: "distsuperctl load", instead: "load --yes -c FILE", then: "start web"},
	{name: "a name means nothing", machines: []string{"m1"}, make: func(f *fleet) { f.load(program("web", nil)) },
		ask: "start something", says: "distsuperctl status shows what there is", instead: "start web", then: "status web"},
	{name: "a group that runs is to be removed", machines: []string{"m1"}, make: running("web"), ask: "remove web",
		says: "distsuperctl remove --stop web", then: "load --yes -c FILE"},
	{name: "a drained machine keeps what nothing else can take", machines: []string{"m1"}, make: running("web"), ask: "drain m1",
		says: "distsuperctl why NAME", instead: "why web", then: "status web"},
	{name: "and it is to be empty", machines: []string{"m1"}, make: running("web"), ask: "drain m1",
		says: "distsuperctl drain m1 --stop-unplaceable", then: "uncordon m1"},
	{name: "a machine that keeps its process is off", machines: []string{"m1"}, make: off("m1", "m2"), ask: "why web",
		says: "distsuperctl machines confirm-dead m1", then: "start web --timeout 20s"},
	{name: "and is to be forgotten", machines: []string{"m1"}, make: off("m1", "m2"), ask: "machines forget m1",
		says: "distsuperctl machines remove --dead m1", then: "start web --timeout 20s"},
	{name: "nobody leads", machines: []string{"m1"}, make: func(f *fleet) {
		f.load(program("web", nil))
		f.lead.stop()
		time.Sleep(time.Minute) // its lease has run out
	}, ask: "start web --timeout 1m", says: "distsuperctl controllers", then: "start web"},
	{name: "the key space was not made yet", make: func(f *fleet) {
		if _, err := f.kv.Txn(context.Background(), store.Txn{Then: []store.Op{store.Delete(f.keys.Schema())}}); err != nil {
			f.t.Fatal(err)
		}
	}, ask: "status", says: "distsuperctl init db", then: "status"},
}

// running makes processes run, none of which another machine can take.
func running(names ...string) func(*fleet) {
	return func(f *fleet) {
		for _, name := range names {
			f.load(program(name, nil))
			f.wants(exitOK, "*", "start", name)
		}
	}
}

// off makes web run under keep, as no other machine matches, then turns its machine off for good and lets another one in.
func off(machine, other string) func(*fleet) {
	return func(f *fleet) {
		running("web")(f)
		f.kill(machine)
		time.Sleep(20 * time.Second)
		f.startMachine(other)
		time.Sleep(10 * time.Second)
	}
}

// TestAdviceLeadsOut carries out what messages of distsuperctl advise, in the states in which they do.
func TestAdviceLeadsOut(t *testing.T) {
	file := newConf(t)
	file.is("program:web" + sleeps + ";autostart=false")
	for _, a := range advices {
		t.Run(a.name, func(t *testing.T) {
			inFleet(t, a.machines, func(t *testing.T, f *fleet) {
				ctl := func(line string) ran { return f.ctl(strings.Fields(strings.ReplaceAll(line, "FILE", file.file))...) }
				if a.make != nil {
					a.make(f)
				}
				said := ctl(a.ask)
				if !strings.Contains(said.out+said.errout, a.says) {
					t.Fatalf("%s does not say %q:\n%s%s", a.ask, a.says, said.out, said.errout)
				}
				line := a.instead
				if line == "" {
					line = strings.TrimPrefix(a.says, "distsuperctl ")
				}
				r := ctl(line)
				if r.code != exitOK {
					t.Errorf("%s: exit %d, %s%s", line, r.code, r.out, r.errout)
				}
				if strings.Contains(r.errout, "(distsuperd start)") { // the advice of the advice
					f.startController()
				}
				if r := ctl(a.then); r.code != exitOK {
					t.Errorf("after that, %s: exit %d, %s%s", a.then, r.code, r.out, r.errout)
				}
			})
		})
	}
}

func TestWithoutAConfigurationTheAdviceMakesOne(t *testing.T) {
	t.Chdir(t.TempDir())
	ask := func(line string) *session {
		s := (&fleet{t: t}).session()
		s.ctl.kv, s.ctl.client = nil, nil
		execute(t.Context(), s.ctl, strings.Fields(line))
		return s
	}
	for _, line := range []string{"config check", "status -c distsuper.ini"} {
		if said := ask(line).stderr.String(); !strings.Contains(said, "distsuperctl init config") {
			t.Errorf("%s says %s", line, said)
		}
	}
	ask("init config .")
	if _, err := os.Stat(filepath.Join(".", "distsuper.ini")); err != nil {
		t.Fatal(err)
	}
	if said := ask("config check").stderr.String(); strings.Contains(said, "init config") {
		t.Errorf("after that, config check says %s", said)
	}
}
