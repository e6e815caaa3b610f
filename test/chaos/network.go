package chaos

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// outside is where whoever plays the round is: at the bridge, which no fault reaches.
const outside = "10.99.0.254"

// makeNetwork joins the network namespaces of all hosts by a bridge. It goes with the round's own namespace.
func makeNetwork(ctx context.Context) error {
	lines := []string{
		"mount -t tmpfs names /run/netns", // the names of namespaces that nobody else sees
		"ip link set lo up",
		"ip link add bridge type bridge",
		"ip addr add " + outside + "/24 dev bridge",
		"ip link set bridge up",
	}
	for i := range Hosts {
		name := hostName(i)
		lines = append(lines,
			"ip netns add "+name,
			"ip link add port"+name+" type veth peer name eth0 netns "+name,
			"ip link set port"+name+" master bridge up",
			"ip -n "+name+" addr add "+address(i)+"/24 dev eth0",
			"ip -n "+name+" link set eth0 up",
			"ip -n "+name+" link set lo up")
	}
	return commands(ctx, lines...)
}

func commands(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return nil
}
