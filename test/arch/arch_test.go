package arch

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/source"
)

// etcd is what only those who speak to etcd link.
var etcd = []string{"go.etcd.io/", "google.golang.org/grpc"}

// rules are the arrows of this module. Imports run cmd -> controller | agentd -> store -> pkg.
var rules = []Rule{
	{From: "pkg", Except: []string{"pkg/client", "pkg/control"}, Deep: true, Imports: []string{"store", "controller", "agentd", "cmd"},
		Why: "pkg is below everything; only what acts for a user stands above store"},
	{From: "pkg/client", Imports: []string{"controller", "agentd", "cmd"}, Deep: true,
		Why: "who uses the Go API links neither a controller nor an agent"},
	{From: "pkg/control", Imports: []string{"store", "os", "github.com/spf13/"},
		Why: "what decides for a user reads through pkg/client, and parses and prints for none"},
	{From: "pkg/control", Deep: true, Imports: []string{"controller", "agentd", "cmd"},
		Why: "what decides for a user links neither a controller nor an agent"},
	{From: "store", Imports: []string{"controller", "agentd", "cmd", "pkg/client", "pkg/control"}, Deep: true,
		Why: "store is below those who decide"},
	{From: "store", Except: []string{"store/etcd", "store/etcdapi", "store/embedded"}, Deep: true, Imports: etcd,
		Why: "the store is a port: who decides by it links no etcd"},
	{From: "", Except: []string{"store/etcd", "store/etcdapi", "store/embedded", "test", "hack"}, Imports: etcd,
		Why: "store/etcd is the only package that speaks to etcd, store/etcdapi the one that answers as etcd does"},
	{From: "", Except: []string{"store/embedded/server", "cmd/distsuperd", "test", "hack"}, Deep: true, Imports: []string{"go.etcd.io/etcd/server/"},
		Why: "the etcd server doubles a binary; only distsuperd carries it"},

	{From: "controller", Deep: true, Imports: []string{"agentd", "cmd"},
		Why: "controller and agent meet only in etcd, so that each can be read without the other"},
	{From: "agentd", Except: []string{"agentd/solo"}, Deep: true, Imports: []string{"controller", "cmd"},
		Why: "controller and agent meet only in etcd, so that each can be read without the other"},
	{From: "agentd/solo", Deep: true, Imports: []string{"cmd"},
		Why: "a machine that is alone has its controller and its agent in one process, and this is the one package where they meet"},
	{From: "", Except: []string{"agentd/solo", "cmd/distsuperd", "test"}, Imports: []string{"agentd/solo"},
		Why: "agentd/solo has a controller in it: what imports it has both, and is only ever distsuperd"},
	{From: "cmd", Imports: []string{"pkg/mode"},
		Why: "a machine is alone because agentd/solo runs it: no program sets the mode of single components"},
	{From: "agentd/keeper", Deep: true, Imports: append([]string{"store", "agentd/plan", "agentd/web"}, etcd...),
		Why: "the keeper knows no etcd: it stays small and outlives what speaks to it"},

	{From: "pkg/api", Only: []string{"pkg/api"}, Why: "the nouns need nothing of ours"},
	{From: "pkg/ini", Only: []string{"pkg/ini"}, Why: "the reader of ini files knows no program"},
	{From: "pkg/mtls", Imports: []string{"pkg/rpc", "net/http"}, Why: "who may connect does not depend on what is said"},
	{From: "pkg/fsm", Only: []string{"pkg/api", "pkg/clock", "pkg/supervisor"}, Why: "the state machine of a process knows neither who runs it nor where"},
	{From: "controller/plan", Deep: true, Imports: append([]string{"store", "pkg/config", "pkg/ini", "pkg/spec"}, etcd...),
		Why: "the leader's plan knows no store and no file: what it decides by is handed in"},
	{From: "agentd/plan", Deep: true, Imports: append([]string{"pkg/config", "pkg/ini", "pkg/spec"}, etcd...),
		Why: "a placement has the whole process in it: an agent's plan reads no configuration"},

	{From: "controller/plan", Reaches: Outside, Why: "the plan is pure"},
	{From: "agentd/plan", Reaches: Outside, Why: "the plan is pure"},
	{From: "agentd/keeper/core", Reaches: Outside, Why: "the keeper decides without doing"},
	{From: "store", Except: []string{"store/etcd", "store/etcdapi", "store/embedded", "store/memstore", "store/storetest", "store/seen", "store/trust", "store/keepalive"},
		Imports: []string{"os", "net"}, Why: "the port opens no file and no connection"},
	{From: "store/view", Reaches: Outside, Why: "the read model is what it is told"},
	{From: "pkg/fsm", Reaches: Outside, Why: "the state machine is pure"},
	{From: "pkg/api", Reaches: Outside, Why: "the nouns do nothing"},
	{From: "pkg/deadline", Reaches: Outside, Why: "arithmetic is pure"},
	{From: "pkg/renewal", Reaches: Outside, Why: "the renewal of a lease is decided without doing it"},
	{From: "pkg/promise", Reaches: Outside, Why: "what holds a process without etcd is decided without doing it"},
	{From: "pkg/supervisor", Reaches: Outside, Why: "what supervisor fixed for ever depends on nothing"},

	{From: "controller/core.go", Reaches: Effects, Why: "the leader's Step decides; the shell around it does"},
	{From: "controller/write.go", Reaches: Effects, Why: "the leader's Step decides; the shell around it does"},
	{From: "controller/ask.go", Reaches: Effects, Why: "the leader's Step decides; the shell around it does"},
	{From: "agentd/core.go", Reaches: Effects, Why: "the agent's Step decides; the shell around it does"},
	{From: "agentd/calls.go", Reaches: Effects, Why: "the agent's Step decides; the shell around it does"},
	{From: "agentd/decide.go", Reaches: Effects, Why: "the agent's Step decides; the shell around it does"},
	{From: "agentd/keys.go", Reaches: Effects, Why: "the agent's Step decides; the shell around it does"},
	{From: "agentd/leases.go", Reaches: Effects, Why: "the agent's Step decides; the shell around it does"},
	{From: "agentd/own.go", Reaches: Effects, Why: "the agent's Step decides; the shell around it does"},
	{From: "agentd/report.go", Reaches: Effects, Why: "the agent's Step decides; the shell around it does"},
	{From: "agentd/writes.go", Reaches: Effects, Why: "the agent's Step decides; the shell around it does"},
	{From: "agentd/lease/core.go", Reaches: Effects, Why: "the leases' Step decides; the shell around it does"},
	{From: "agentd/lease/acknowledge.go", Reaches: Effects, Why: "the leases' Step decides; the shell around it does"},
	{From: "agentd/lease/leader.go", Reaches: Effects, Why: "the leases' Step decides; the shell around it does"},
	{From: "store/seen/core.go", Reaches: Effects, Why: "whether a store is believed is decided without asking it"},

	{From: "controller", Uses: Clocks, Why: "time comes from the clock that is handed in, so that tests and simulators can move it"},
	{From: "agentd", Except: []string{"agentd/keeper", "agentd/solo"}, Uses: Clocks,
		Why: "time comes from the clock that is handed in, so that tests and simulators can move it"},
	{From: "store", Except: []string{"store/etcd", "store/etcdapi", "store/embedded", "store/storetest"}, Uses: Clocks,
		Why: "time comes from the clock that is handed in, so that tests and simulators can move it"},

	{From: "cmd/distsuperd", Only: []string{"controller", "agentd/solo", "agentd/keeper/engine/guardian", "store", "cmd/internal", "pkg"},
		Why: "distsuperd is a controller, or a machine that is alone; it is no agent"},
	{From: "cmd/distsuperagent", Only: []string{"agentd", "store", "cmd/internal", "pkg"}, Why: "the agent's program knows no controller"},
	{From: "cmd/distsuperctl", Only: []string{"controller/plan", "store", "hack/docs", "pkg", "test/sim"},
		Why: "distsuperctl speaks to etcd and to daemons, and is none; how the load is evened out it asks of the leader's plan, and what verify plays is test/sim"},
	{From: "test/sim", Deep: true, Imports: append([]string{"agentd/solo", "agentd/keeper/engine/guardian", "agentd/keeper/engine/forkexec", "cmd"}, "go.etcd.io/etcd/server/"),
		Why: "a simulated fleet runs no process and no server; distsuperctl carries it"},
	{From: "cmd/internal", Only: []string{"store", "store/etcd", "cmd/internal", "pkg"}, Why: "what daemons have in common knows none of them"},
}

func TestRulesHold(t *testing.T) {
	m, err := source.Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Packages) < 100 {
		t.Fatalf("only %d packages were found", len(m.Packages))
	}
	breaches, err := Check(m, rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range breaches {
		t.Error(b)
	}
}

// Each of the planted faults is found, and nothing else of the module in which they stand.
func TestPlantedFaultsAreFound(t *testing.T) {
	m, err := source.Load("testdata/planted")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		rule Rule
		want string
	}{
		{"I/O far below a pure package", Rule{From: "plan", Reaches: Outside, Why: "pure"}, "plan.Decide -> helper.Name -> helper.read -> os.ReadFile: pure"},
		{"a clock of package time in a pure package", Rule{From: "clocked", Reaches: Outside, Why: "pure"}, "clocked.Late -> time.Now: pure"},
		{"a clock of package time in a shell", Rule{From: "clocked", Uses: Clocks, Why: "ours"}, "clocked/clocked.go: clocked.Late uses time.Now: ours"},
		{"configuration behind another package", Rule{From: "plan", Deep: true, Imports: []string{"config"}, Why: "no config"}, "plan imports, perhaps indirectly, config: no config"},
		{"a package that a program is not said to import", Rule{From: "cmd/ctl", Only: []string{"plan"}, Why: "wiring"}, "cmd/ctl imports agent, which it is not said to: wiring"},
		{"a rule about nothing", Rule{From: "gone", Why: "moved"}, `nothing at or below "gone": the rule "moved" guards nothing`},
		{"what is handed in is the caller's", Rule{From: "handed", Reaches: Outside, Why: "pure"}, ""},
		{"a duration is no clock", Rule{From: "handed", Uses: Clocks, Why: "ours"}, ""},
		{"a package of the standard library is itself alone", Rule{From: "handed", Imports: []string{"io"}, Why: "pure"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			breaches, err := Check(m, []Rule{c.rule})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(breaches, "\n"); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}
