package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// farAddress is where what runs inside the network listens.
const nearAddress, farAddress = "10.231.81.1", "10.231.81.2"

// network is a network namespace at the end of a cable.
type network struct{ name, near, far string }

func newNetwork(ctx context.Context) (*network, error) {
	n := &network{name: fmt.Sprintf("tolerance%d", os.Getpid()), near: fmt.Sprintf("ta%d", os.Getpid()), far: fmt.Sprintf("tb%d", os.Getpid())}
	err := commands(ctx,
		"ip netns add "+n.name,
		"ip link add "+n.near+" type veth peer name "+n.far+" netns "+n.name,
		"ip addr add "+nearAddress+"/24 dev "+n.near,
		"ip -n "+n.name+" addr add "+farAddress+"/24 dev "+n.far,
		"ip link set "+n.near+" up",
		"ip -n "+n.name+" link set "+n.far+" up",
		"ip -n "+n.name+" link set lo up",
	)
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// inside is what a command begins with that is to run there.
func (n *network) inside() []string { return []string{"ip", "netns", "exec", n.name} }

// lose has the cable lose every packet, in both directions and without a word: the queue at each end has room for none.
func (n *network) lose(ctx context.Context) error {
	const full = " root tbf rate 8bit burst 1 limit 1"
	return commands(ctx, "tc qdisc add dev "+n.near+full, "tc -n "+n.name+" qdisc add dev "+n.far+full)
}

func (n *network) heal(ctx context.Context) error {
	return commands(ctx, "tc qdisc del dev "+n.near+" root", "tc -n "+n.name+" qdisc del dev "+n.far+" root")
}

// close removes it; the cable goes with it.
func (n *network) close() { _ = commands(context.Background(), "ip netns del "+n.name) }

func commands(ctx context.Context, lines ...string) error {
	var all error
	for _, line := range lines {
		words := strings.Fields(line)
		if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w: %s", line, err, out))
		}
	}
	return all
}
