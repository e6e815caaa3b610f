package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/gate"
)

// hosts are two network namespaces that see nothing but each other.
type hosts struct {
	t           *testing.T
	left, right string
}

const leftAddress, rightAddress = "10.231.77.1", "10.231.77.2"

func newHosts(t *testing.T) *hosts {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		gate.Cannot(t, "it takes root and ip (iproute2) to make network namespaces")
	}
	h := &hosts{t: t, left: fmt.Sprintf("e2e%da", os.Getpid()), right: fmt.Sprintf("e2e%db", os.Getpid())}
	// It goes with the namespaces.
	t.Cleanup(func() {
		for _, name := range []string{h.left, h.right} {
			if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
				t.Logf("remove network namespace %s: %v: %s", name, err, out)
			}
		}
	})
	veth := fmt.Sprintf("v%d", os.Getpid())
	for i, line := range []string{
		"netns add " + h.left,
		"netns add " + h.right,
		"-n " + h.left + " link add " + veth + " type veth peer name peer netns " + h.right,
		"-n " + h.left + " addr add " + leftAddress + "/24 dev " + veth,
		"-n " + h.right + " addr add " + rightAddress + "/24 dev peer",
		"-n " + h.left + " link set " + veth + " up",
		"-n " + h.right + " link set peer up",
		"-n " + h.left + " link set lo up",
		"-n " + h.right + " link set lo up",
	} {
		out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		if err != nil && i == 0 {
			gate.Cannot(t, "this host lets nobody make a network namespace: ip %s: %v: %s", line, err, out)
		}
		if err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	return h
}

// binaries is a folder of the three binaries that run within a namespace.
func (h *hosts) binaries(netns string) string {
	h.t.Helper()
	dir := shortDir(h.t)
	for _, name := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		text := "#!/bin/sh\nexec ip netns exec " + netns + " " + bin.Program(h.t, name) + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

// host is a folder on one of them.
func (h *hosts) host(netns, name, ini string) *cluster.Node {
	h.t.Helper()
	c := cluster.New(shortDir(h.t), h.binaries(netns))
	h.t.Cleanup(func() {
		if h.t.Failed() {
			tellLogs(h.t, c.Dir)
		}
		c.Close()
	})
	n, err := c.Node(name, ini)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// Property: one file copied to another host is all the set-up that a machine needs there, and who has not got it is
// let in nowhere.
func TestAnotherHostJoinsByOneFileAndStrangersAreRefused(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	first := h.host(h.left, "first", "[embedded-etcd]\nlisten = "+leftAddress+":2379\n[distsuperd]\nid = d1\n[distsuperagent]\nmachine = first\n")
	must := func(n *cluster.Node, program string, args ...string) string {
		t.Helper()
		out, err := n.Must(t.Context(), program, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	must(first, "distsuperd", "start")
	must(first, "distsuperagent", "start")
	join := must(first, "distsuperctl", "init", "config", "--join")
	second := h.host(h.right, "second", join)
	must(second, "distsuperagent", "start", "--machine", "second")
	must(second, "distsuperd", "start", "--id", "d2")

	program := "[program:away]\ncommand = /bin/sh -c \"echo here is $DISTSUPER_MACHINE; exec sleep 1000\"\nmachines = second\ntouch_timeout = 2\n"
	file := filepath.Join(first.Dir, "distsuper.ini")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, program...), 0o600); err != nil {
		t.Fatal(err)
	}
	must(first, "distsuperctl", "load")
	must(first, "distsuperctl", "start", "away")
	says(t, must(first, "distsuperctl", "status"), "RUNNING", "second")
	// Its log lies there, and is read from here; and the other way about.
	says(t, must(first, "distsuperctl", "tail", "away"), "here is second")
	says(t, must(second, "distsuperctl", "tail", "away"), "here is second")
	says(t, must(second, "distsuperctl", "controllers"), "d1", "d2")
	must(first, "distsuperagent", "restart")
	must(second, "distsuperagent", "restart", "--machine", "second")
	says(t, must(second, "distsuperctl", "status"), "RUNNING")

	refuseStrangers(t, h, join)
	must(second, "distsuperctl", "stop", "away")
}

// refuseStrangers comes with a certificate of another authority, and with none.
func refuseStrangers(t *testing.T, h *hosts, join string) {
	t.Helper()
	ca, err := pki.NewCA("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	forged, err := ca.Client("distsuper")
	if err != nil {
		t.Fatal(err)
	}
	indent := func(pem []byte) string { return strings.ReplaceAll(strings.TrimSpace(string(pem)), "\n", "\n    ") }
	mine, _, ok := strings.Cut(join, "\ncert =")
	if !ok {
		t.Fatalf("the file by which others join has no certificate:\n%s", join)
	}
	for name, ini := range map[string]string{
		"a certificate of another authority": mine + "\ncert =\n    " + indent(forged.Cert) + "\nkey =\n    " + indent(forged.Key) + "\n",
		"no certificate":                     mine + "\n",
	} {
		stranger := h.host(h.right, "stranger", ini)
		if r := stranger.Run(t.Context(), "distsuperctl", "status"); r.Code != 4 {
			t.Errorf("%s: status exits %d, want 4: %s%s", name, r.Code, r.Stdout, r.Stderr)
		}
		if r := stranger.Run(t.Context(), "distsuperagent", "start", "--machine", "stranger", "--timeout", "5s"); r.Code == 0 {
			t.Errorf("%s: an agent was let in: %s", name, r.Stdout)
		}
		stranger.Kill()
	}
}
