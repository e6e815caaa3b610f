package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/distsuper/distsuper/test/cluster"
)

// A wire joins network namespaces to this host by a bridge, so that packets of one of them can be dropped. It is named after this process,
// as are its namespaces, and takes a subnet of its own.
type wire struct {
	subnet string // the first three numbers of addresses
	bridge string
	hosts  []string
}

// newWire makes one with so many hosts, which are counted from 0. It needs root.
func newWire(ctx context.Context, hosts int) (*wire, error) {
	id := os.Getpid()
	w := &wire{subnet: fmt.Sprintf("10.231.%d", id%250), bridge: fmt.Sprintf("tr%d", id)}
	lines := []string{"ip link add " + w.bridge + " type bridge", "ip addr add " + w.outside() + "/24 dev " + w.bridge, "ip link set " + w.bridge + " up"}
	for i := range hosts {
		name, port := fmt.Sprintf("%s-%d", w.bridge, i), fmt.Sprintf("%sp%d", w.bridge, i)
		w.hosts = append(w.hosts, name)
		lines = append(lines, "ip netns add "+name,
			"ip link add "+port+" type veth peer name eth0 netns "+name,
			"ip link set "+port+" master "+w.bridge+" up",
			"ip -n "+name+" addr add "+w.address(i)+"/24 dev eth0",
			"ip -n "+name+" link set eth0 up",
			"ip -n "+name+" link set lo up")
	}
	for _, line := range lines {
		if err := command(ctx, "", strings.Fields(line)...); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// outside is this host's address at the wire.
func (w *wire) outside() string { return w.subnet + ".254" }

func (w *wire) address(host int) string { return fmt.Sprintf("%s.%d", w.subnet, host+1) }

// inside is what a command begins with that is to run on a host. ip netns exec would hide cgroups.
func (w *wire) inside(host int) []string {
	return []string{"nsenter", "--net=/run/netns/" + w.hosts[host]}
}

// drop drops all packets of a host, and pass lets them pass again.
func (w *wire) drop(ctx context.Context, host int) error {
	return w.nft(ctx, host, `add table inet cut
add chain inet cut in { type filter hook input priority 0; }
add rule inet cut in iifname "eth0" drop
add chain inet cut out { type filter hook output priority 0; }
add rule inet cut out oifname "eth0" drop
`)
}

func (w *wire) pass(ctx context.Context, host int) error {
	return w.nft(ctx, host, "delete table inet cut\n")
}

func (w *wire) nft(ctx context.Context, host int, script string) error {
	return command(ctx, script, append(w.inside(host), "nft", "-f", "-")...)
}

// close takes everything away, after a failure as far as it is there.
func (w *wire) close() {
	ctx := context.Background()
	for _, name := range w.hosts {
		_ = command(ctx, "", "ip", "netns", "del", name)
	}
	_ = command(ctx, "", "ip", "link", "del", w.bridge)
}

// programs makes a folder of the three binaries as they run on a host.
func (w *wire) programs(host int, bin, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		text := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", strings.Join(w.inside(host), " "), filepath.Join(bin, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// command runs one, and tells what it said when it fails.
func command(ctx context.Context, stdin string, words ...string) error {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

// freePort is an address of this host at the wire at which nobody listens.
func (w *wire) freePort() (string, error) {
	port, err := cluster.FreePort(w.outside())
	return net.JoinHostPort(w.outside(), strconv.Itoa(port)), err
}
