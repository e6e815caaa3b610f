package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: a host that gets another address, as by DHCP, is found at the new one without a restart: its agent and its controller.
func TestLongAHostThatGetsAnotherAddressIsFoundThere(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	h := newHosts(t)
	first := h.host(h.left, "first", "[embedded-etcd]\nlisten = "+leftAddress+":2379\n[distsuperd]\nid = d1\n")
	must := func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	must(first.Must(t.Context(), "distsuperd", "start"))
	second := h.host(h.right, "second", must(first.Must(t.Context(), "distsuperctl", "init", "config", "--join")))
	must(second.Must(t.Context(), "distsuperagent", "start", "--machine", "second"))
	must(second.Must(t.Context(), "distsuperd", "start", "--id", "d2"))
	program := "[program:away]\ncommand = /bin/sh -c \"echo here; exec sleep 1000\"\ntouch_timeout = 30\n"
	file := filepath.Join(first.Dir, "distsuper.ini")
	text := must(read(file))
	if err := os.WriteFile(file, []byte(text+program), 0o600); err != nil {
		t.Fatal(err)
	}
	must(first.Must(t.Context(), "distsuperctl", "load"))
	must(first.Must(t.Context(), "distsuperctl", "start", "away"))

	const now = "10.231.77.3"
	for _, line := range []string{"addr del " + rightAddress + "/24 dev peer", "addr add " + now + "/24 dev peer"} {
		must(output("ip", append([]string{"-n", h.right}, strings.Fields(line)...)...))
	}
	for _, command := range []string{"machines", "controllers"} {
		if err := fleet.Until(t.Context(), patience, command+" shows the new address", func() (bool, string) {
			r := first.Run(t.Context(), "distsuperctl", command)
			return strings.Contains(r.Stdout, now) && !strings.Contains(r.Stdout, rightAddress), r.Stdout + r.Stderr
		}); err != nil {
			t.Fatal(err)
		}
	}
	says(t, must(first.Must(t.Context(), "distsuperctl", "tail", "away")), "here")
	says(t, must(second.Must(t.Context(), "distsuperagent", "status", "--machine", "second")), now+":3379", "1 process,")
	must(first.Must(t.Context(), "distsuperctl", "stop", "away"))
}

func read(file string) (string, error) {
	text, err := os.ReadFile(file)
	return string(text), err
}

func output(program string, args ...string) (string, error) {
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}
