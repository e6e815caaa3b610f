package control_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/test/sentences"
)

var keys = store.NewKeys("")

// storeState is what the store says of the process web.
type storeState map[string]any

// drawStoreState makes any that the daemons could write, and some that they could not.
func drawStoreState(t *rapid.T) storeState {
	s := storeState{}
	flip := func(what string) bool { return rapid.Bool().Draw(t, what) }
	sentence := func(what string) string { return rapid.SampledFrom(sentences.Tempting).Draw(t, what) }
	count := func(what string) int64 { return rapid.Int64Range(1, 2).Draw(t, what) }
	web := program("web", nil)
	if !flip("removed") {
		s[keys.Program("web")] = web
	}
	if want := rapid.SampledFrom([]api.Want{"", api.WantRun, api.WantRun, api.WantStop}).Draw(t, "want"); want != "" {
		s[keys.Intent("web")] = api.Intent{Want: want, Restarts: count("restarts"), Moves: count("moves"), By: "ann@desk"}
	}
	if flip("alive") {
		s[keys.Alive("m1")] = api.Alive{Instance: rapid.SampledFrom([]string{"i1", "i1", "i2"}).Draw(t, "instance")}
	}
	if !flip("owned") {
		return s
	}
	processes, err := spec.Processes(web)
	if err != nil {
		t.Fatal(err)
	}
	o := api.Owner{Machine: rapid.SampledFrom([]string{"", "m1", "m1", "m1"}).Draw(t, "machine"), Instance: "i1", Token: 7, Placed: flip("placed"),
		Restarts: count("answered"), Moves: count("moved"), Spec: rapid.SampledFrom([]string{"", spec.Fingerprint(processes[0])}).Draw(t, "spec"),
		Reason: sentence("reason"), Waiting: sentence("waiting"),
		WaitingFor:  rapid.SampledFrom([]api.WaitingFor{api.WaitingForNothing, api.WaitingForMachine, api.WaitingForTurn, api.WaitingForProof}).Draw(t, "waiting for"),
		MoveRefused: rapid.SampledFrom([]api.MoveRefused{api.MoveNotRefused, api.MoveFinished, api.MoveNoMachine}).Draw(t, "move refused"),
		Fault:       drawFault(t)}
	if flip("finished") {
		state := rapid.SampledFrom([]api.State{api.Exited, api.Fatal}).Draw(t, "as")
		o.Finished, o.Placed = &state, false
	}
	s[keys.Owner("web")] = o
	if o.Machine == "" {
		return s
	}
	if flip("touched") {
		s[keys.Touch("m1", "web")] = api.Touch{Token: 7, Instance: "i1"}
	}
	if flip("seen") {
		exit := rapid.IntRange(-1, 1).Draw(t, "exit")
		s[keys.Status("m1", "web")] = api.Status{Token: rapid.Int64Range(6, 7).Draw(t, "token"), Instance: "i1", Released: flip("released"),
			OnPartition: rapid.SampledFrom([]api.OnPartition{api.PartitionStop, api.PartitionKeep}).Draw(t, "on_partition"),
			Observed: api.Observed{State: rapid.SampledFrom(api.States).Draw(t, "state"), PID: 42, Exit: &exit, Fault: drawFault(t),
				Reason: sentence("why")}}
	}
	return s
}

func drawFault(t *rapid.T) api.Fault {
	return rapid.SampledFrom([]api.Fault{api.FaultNone, api.FaultNoFile, api.FaultNotExecutable, api.FaultSpawn, api.FaultQuickExit, api.FaultExit,
		api.FaultSignal, api.FaultFenced}).Draw(t, "fault")
}

// web is what a client sees of the process of a store, with its sentences as next gives them; nil leaves them as they
// are.
func (s storeState) web(t interface{ Fatal(...any) }, next func() string) *client.Process {
	p := s.read(t, next).Process("web")
	if p != nil && next != nil {
		p.Text = next()
	}
	return p
}

func (s storeState) read(t interface{ Fatal(...any) }, next func() string) *client.Snapshot {
	server := memstore.New(memstore.Options{})
	defer server.Close()
	kv := server.Client("x")
	defer kv.Close()
	var ops []store.Op
	for key, v := range s {
		value := store.Encode(v)
		if next != nil {
			value = sentences.Rewrite(value, next)
		}
		ops = append(ops, store.Put(key, value))
	}
	if _, err := kv.Txn(context.Background(), store.Txn{Then: ops}); err != nil {
		t.Fatal(err)
	}
	snap, err := client.New(kv, keys, "ann@desk").Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// goals are all that decide the outcome of a command. A run that is to be replaced was that of token 6.
func goals(t interface{ Fatal(...any) }) map[string]control.Goal {
	processes, err := spec.Processes(program("web", nil))
	if err != nil {
		t.Fatal(err)
	}
	before := storeState{keys.Program("web"): program("web", nil), keys.Owner("web"): api.Owner{Token: 6}}.read(t, nil)
	return map[string]control.Goal{
		"Running": control.Running, "FirstTry": control.FirstTry, "Down": control.Down, "Moved": control.Moved("m1"),
		"Replaced": control.Replaced(before), "Renewed": control.Renewed(map[string]api.Process{"web": processes[0]}),
	}
}

// decided is all that a check decides, the exit codes of distsuperctl included.
func decided(c control.Check) string {
	return fmt.Sprint(c.Done, c.Fault, c.Stalled, c.Awaits, supervisor.StartExit(c.Fault), supervisor.StopExit(c.Fault), supervisor.SignalExit(c.Fault))
}

// differs says where a goal decides otherwise once the sentences of a store are rewritten, "" for nowhere.
func differs(t *rapid.T, goal control.Goal) string {
	s := drawStoreState(t)
	next := func() string {
		return rapid.OneOf(rapid.SampledFrom(sentences.Tempting), rapid.String()).Draw(t, "sentence")
	}
	was, now := s.web(t, nil), s.web(t, next)
	if (was == nil) != (now == nil) {
		return fmt.Sprintf("there it is %v, and then %v", was, now)
	}
	if a, b := decided(goal(was)), decided(goal(now)); a != b {
		return fmt.Sprintf("%s, and with other words %s: %+v", a, b, s)
	}
	return ""
}

// TestNothingIsDecidedByASentence rewrites all that is said to people of a process: no goal, and so no exit code, may
// change. It leaves out what the daemons decide (controller/plan and pkg/fsm have laws of their own).
func TestNothingIsDecidedByASentence(t *testing.T) {
	for name, goal := range goals(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				if how := differs(t, goal); how != "" {
					t.Fatal(how)
				}
			})
		})
	}
}

// TestNoGoalWaitsForAControllerForEver: where a controller is to act and none does, waiting ends.
func TestNoGoalWaitsForAControllerForEver(t *testing.T) {
	for name, goal := range goals(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := drawStoreState(t)
				p := s.web(t, nil)
				if c := goal(p); !c.Done && (p.Awaits.Controller() || c.Awaits.Controller()) && !c.Stalled {
					t.Fatalf("it waits for %q and %q without end: %+v", p.Awaits, c.Awaits, s)
				}
			})
		})
	}
}

// TestAGoalThatReadsASentenceIsFound plants what there was before there were facts.
func TestAGoalThatReadsASentenceIsFound(t *testing.T) {
	for name, planted := range map[string]control.Goal{
		"of the process": func(p *client.Process) control.Check {
			c := control.Running(p)
			if c.Fault == supervisor.SpawnError && strings.Contains(p.Text, "can't find command") {
				c.Fault = supervisor.NoFile
			}
			return c
		},
		"of the status": func(p *client.Process) control.Check {
			c := control.Down(p)
			c.Stalled = c.Stalled || p != nil && p.Status != nil && p.Status.Reason == ""
			return c
		},
		"of the owner": func(p *client.Process) control.Check {
			if p != nil && p.Owner != nil && strings.HasPrefix(p.Owner.Reason, "not moved") {
				return control.Check{Done: true, Fault: supervisor.Failed}
			}
			return control.Running(p)
		},
		"of what it waits for": func(p *client.Process) control.Check {
			c := control.Running(p)
			c.Stalled = c.Stalled || p != nil && p.Owner != nil && p.Owner.Waiting != ""
			return c
		},
	} {
		found := rapid.Custom(func(t *rapid.T) string { return differs(t, planted) })
		hit := false
		for seed := 0; seed < 2000 && !hit; seed++ {
			hit = found.Example(seed) != ""
		}
		if !hit {
			t.Errorf("a goal that reads a sentence %s is not found", name)
		}
	}
}

// TestTheWordsOfAnErrorDecideNothing: what an agent answered is found in the error, whatever that says.
func TestTheWordsOfAnErrorDecideNothing(t *testing.T) {
	s := storeState{keys.Schema(): api.Schema{Version: api.SchemaVersion}, keys.Program("web"): program("web", nil), keys.Alive("m1"): api.Alive{Instance: "i1"},
		keys.Intent("web"):       api.Intent{Want: api.WantRun, Restarts: 1},
		keys.Owner("web"):        api.Owner{Machine: "m1", Instance: "i1", Token: 7, Placed: true, Restarts: 1},
		keys.Touch("m1", "web"):  api.Touch{Token: 7, Instance: "i1"},
		keys.Status("m1", "web"): api.Status{Token: 7, Instance: "i1", Observed: api.Observed{State: api.Running, PID: 42}}}
	server := memstore.New(memstore.Options{})
	defer server.Close()
	kv := server.Client("x")
	defer kv.Close()
	for key, v := range s {
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(key, store.Encode(v))}}); err != nil {
			t.Fatal(err)
		}
	}
	c := control.New(client.New(kv, keys, "ann@desk"), control.Options{})
	for _, text := range sentences.Tempting {
		for err, want := range map[error]supervisor.Fault{
			rpc.ErrNotRunning: supervisor.NotRunning, rpc.ErrNotFound: supervisor.NotRunning, errors.New("no"): supervisor.Failed,
		} {
			said := &sentences.Error{Text: text, Err: err}
			var got control.Outcome
			send := func(context.Context, *client.Process, string) error { return said }
			if err := c.Signal(t.Context(), "HUP", []string{"web"}, send, func(o control.Outcome) { got = o }); err != nil {
				t.Fatal(err)
			}
			if got.Fault != want {
				t.Errorf("%v in the words %q is %v, want %v", err, text, got.Fault, want)
			}
		}
	}
}
