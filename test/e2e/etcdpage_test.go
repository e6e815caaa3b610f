package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: what hack/docs/etcd.md shows of the store is what etcdctl shows: the same keys with the same fields, and the same
// values where they do not depend on the host and the moment.
func TestTheEtcdPageShowsWhatEtcdctlPrints(t *testing.T) {
	t.Parallel()
	etcdctl, err := exec.LookPath("etcdctl")
	if err != nil {
		gate.Cannot(t, "no etcdctl here: %v", err)
	}
	c := cluster.New(shortDir(t), bin.Path(t))
	t.Cleanup(c.Close)
	ctx := context.Background()
	template := strings.Replace(config.Template(), "\n;machine =", "\nmachine = m1\n;", 1)
	template = strings.Replace(template, "\n;http = 127.0.0.1:3378", "\nhttp = 127.0.0.1:0", 1)
	n, err := c.Node("m1", template)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"distsuperd", "start"}, {"distsuperagent", "start", "--http", "127.0.0.1:0"},
		{"distsuperctl", "load"}, {"distsuperctl", "start", "test"}} {
		if _, err := n.Must(ctx, args[0], args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(etcdctl, "--endpoints", "unix://"+n.Dir+"/.distsuper/etcd/client.sock", "get", "--prefix", "/distsuper/machines/")
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("etcdctl: %v\n%s", err, out)
	}
	page, err := os.ReadFile("../../hack/docs/etcd.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "<!-- etcdctl get --prefix /distsuper/machines/ -->\n```\n")
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !closed {
		t.Fatal("the page has no block after its etcdctl marker")
	}
	shown, real := shape(t, block), shape(t, string(out))
	if !maps.Equal(shown, real) {
		t.Errorf("the page shows\n%s\nbut etcdctl prints\n%s", describe(shown), describe(real))
	}
}

// varying are the fields whose values depend on the host and the moment.
var varying = []string{"instance", "boot_id", "host", "hostname", "incarnation", "identity", "containment", "since", "addresses", "version", "keeper_version", "api", "fingerprint", "token", "lease",
	"pid", "started", "stdout_log", "stderr_log"}

// shape is what etcdctl printed, by key, with the varying values masked.
func shape(t *testing.T, text string) map[string]string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines)%2 != 0 {
		t.Fatalf("not pairs of key and value:\n%s", text)
	}
	shapes := map[string]string{}
	for i := 0; i < len(lines); i += 2 {
		var v map[string]any
		if err := json.Unmarshal([]byte(lines[i+1]), &v); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		for _, field := range varying {
			if _, there := v[field]; there {
				v[field] = "..."
			}
		}
		masked, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shapes[lines[i]] = string(masked)
	}
	return shapes
}

func describe(shapes map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(shapes)) {
		b.WriteString(key + "\n" + shapes[key] + "\n")
	}
	return b.String()
}
