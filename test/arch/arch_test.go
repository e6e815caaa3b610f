// Package arch holds the arrows between the packages, with the reason for each.
package arch

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/distsuper/distsuper/"

// rule forbids imports of packages below from (unless below an exception) to anything that begins with one of to.
type rule struct {
	from   string
	except []string
	deep   bool // counts what is imported indirectly, too
	to     []string
	why    string
}

var rules = []rule{
	{from: "pkg/", except: []string{"pkg/client"}, to: []string{module + "store", module + "controller", module + "agentd", module + "cmd"},
		why: "pkg is below everything; only pkg/client stands above store"},
	{from: "pkg/control", to: []string{module + "store", module + "controller", module + "agentd", module + "cmd", "github.com/spf13/", "os"},
		why: "pkg/control stands above pkg/client, and by it above store: it decides for everybody who takes commands, and prints and parses for none"},
	{from: "store", to: []string{module + "controller", module + "agentd", module + "cmd", module + "pkg/client"},
		why: "store is below those who decide"},
	{from: "controller", to: []string{module + "agentd", module + "cmd"},
		why: "controller and agent meet only in etcd, so that each can be read without the other"},
	{from: "agentd", except: []string{"agentd/solo"}, to: []string{module + "controller", module + "cmd"},
		why: "controller and agent meet only in etcd, so that each can be read without the other"},
	{from: "agentd/solo", to: []string{module + "cmd"},
		why: "a machine that is alone has its controller and its agent in one process, and this is the one package where they meet"},
	{from: "", except: []string{"agentd/solo", "cmd/distsuperd"}, to: []string{module + "agentd/solo"},
		why: "agentd/solo has a controller in it: what imports it has both, and is only ever distsuperd"},
	{from: "cmd", to: []string{module + "pkg/mode"},
		why: "a machine is alone because agentd/solo runs it: no program sets the mode of single components"},
	{from: "agentd/keeper", deep: true, to: []string{"go.etcd.io/", "google.golang.org/grpc", module + "store"},
		why: "the keeper knows no etcd: it stays small and outlives what speaks to it"},
	{from: "controller/plan", to: []string{module + "store", "os", "net", "go.uber.org/zap"},
		why: "the plan is pure"},
	{from: "agentd/plan", to: []string{"os", "net", "go.uber.org/zap"},
		why: "the plan is pure"},
	{from: "pkg/fsm", to: []string{"os", "net", "go.uber.org/zap"}, why: "the state machine is pure"},
	{from: "agentd/keeper/core", to: []string{"os", "net", "go.uber.org/zap", "golang.org/x/sys/unix"}, why: "the core of a keeper is pure"},
	{from: "pkg/mtls", to: []string{module + "pkg/rpc", "net/http"}, why: "who may connect does not depend on what is said"},
	{from: "pkg/api", to: []string{module}, why: "the nouns need nothing of ours"},
	{from: "", except: []string{"store/etcd", "store/etcdapi", "store/embedded", "test", "hack"}, to: []string{"go.etcd.io/", "google.golang.org/grpc"},
		why: "store/etcd is the only package that speaks to etcd, store/etcdapi the one that answers as etcd does"},
	{from: "store", except: []string{"store/etcd", "store/etcdapi", "store/embedded"}, deep: true, to: []string{"go.etcd.io/", "google.golang.org/grpc"},
		why: "the store is a port: who decides by it links no etcd"},
	{from: "agentd/plan", deep: true, to: []string{"go.etcd.io/", "google.golang.org/grpc"},
		why: "the plan is pure"},
	{from: "", except: []string{"store/embedded/server", "cmd/distsuperd", "test", "hack"}, deep: true, to: []string{"go.etcd.io/etcd/server/"},
		why: "the etcd server doubles a binary; only distsuperd carries it"},
}

type listed struct {
	ImportPath    string
	Imports, Deps []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 20 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

func below(path, folder string) bool {
	return folder == "" || path == strings.TrimSuffix(folder, "/") || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

func TestImportsRunDownwards(t *testing.T) {
	all := packages(t)
	for _, r := range rules {
		applied := 0
		for _, p := range all {
			path := strings.TrimPrefix(p.ImportPath, module)
			if !below(path, r.from) || excepted(path, r.except) {
				continue
			}
			applied++
			imports := p.Imports
			if r.deep {
				imports = p.Deps
			}
			for _, i := range imports {
				for _, bad := range r.to {
					if matches(i, bad) {
						t.Errorf("%s imports %s: %s", path, i, r.why)
					}
				}
			}
		}
		if applied == 0 {
			t.Errorf("no package below %q: the rule %q guards nothing", r.from, r.why)
		}
	}
}

func excepted(path string, folders []string) bool {
	for _, f := range folders {
		if below(path, f) {
			return true
		}
	}
	return false
}

// matches: "go.etcd.io/" means everything that begins so, a package of ours or of a module that and those below
// it, one of the standard library itself alone (net/netip does no I/O).
func matches(path, bad string) bool {
	switch {
	case strings.HasSuffix(bad, "/"):
		return strings.HasPrefix(path, bad)
	case strings.Contains(bad, "."):
		return path == bad || strings.HasPrefix(path, bad+"/")
	default:
		return path == bad
	}
}
