package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/etcdproc"
)

// stateMegabytes is how much room a host has for its state.
const stateMegabytes = 48

// host is one of the fleet: a network namespace, a folder, and a disk of its own for the state.
type host struct {
	name  string
	node  *cluster.Node
	voter bool

	mu     sync.Mutex       // one hand at a time starts and ends it
	member *etcdproc.Member // nil: none
}

// inside is what a command begins with that is to run on the host. ip netns exec would hide cgroups.
func inside(name string) []string { return []string{"nsenter", "--net=/run/netns/" + name} }

// addHost makes a host whose daemons reach etcd at endpoints.
func (r *round) addHost(i int, endpoints []string) error {
	h, p := &host{name: hostName(i), voter: i < Voters}, r.plan.Hosts[i]
	before := inside(h.name)
	if s := int64(p.Shift / time.Second); s != 0 {
		before = append(before, "unshare", "--time", fmt.Sprintf("--boottime=%d", s), fmt.Sprintf("--monotonic=%d", s/2))
	}
	bin, err := r.binaries(h.name, before)
	if err != nil {
		return err
	}
	c := cluster.New(r.o.Dir, bin)
	c.Etcd = "[etcd]\nendpoints = " + strings.Join(endpoints, ", ")
	config := fmt.Sprintf("[distsuperagent]\nmachine = %[1]s\nhttp = %[2]s:3379\naddresses = %[2]s\n[distsuperd]\nid = d%[3]d\nhttp = %[2]s:3378\n",
		h.name, address(i), i+1)
	var env []string
	if p.NoCgroups {
		env = append(env, "DISTSUPER_NO_CGROUPS=1")
	}
	if h.node, err = c.Node(h.name, config, env...); err != nil {
		return err
	}
	state := filepath.Join(h.node.Dir, ".distsuper")
	if err := errors.Join(os.Mkdir(state, 0o700), unix.Mount("chaos", state, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", stateMegabytes))); err != nil {
		return fmt.Errorf("give %s a disk: %w", h.name, err)
	}
	if h.voter {
		h.member = r.etcd.Members[i]
	}
	r.clusters, r.hosts = append(r.clusters, c), append(r.hosts, h)
	return nil
}

// binaries is a folder of the programs as they are run after a command.
func (r *round) binaries(name string, before []string) (string, error) {
	dir := filepath.Join(r.o.Dir, "bin-"+name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	for _, program := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		text := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", strings.Join(before, " "), filepath.Join(r.o.Bin, program))
		if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// patient is how long a daemon's start may take on a host that has no time.
const patient = 45 * time.Second

func (h *host) run(ctx context.Context, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	_, err := h.node.Must(ctx, program, args...)
	return err
}

func (h *host) startAgent(ctx context.Context) error {
	if len(h.node.PIDs(agentProcess)) > 0 {
		return nil
	}
	return h.run(ctx, "distsuperagent", "start")
}

// shiftAgent starts the agent in a time namespace of its own.
func (h *host) shiftAgent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	cmd := h.node.Command(ctx, "distsuperagent", "start")
	cmd.Args = append([]string{"unshare", "--time", "--boottime=3000000", "--monotonic=2000000"}, cmd.Args...)
	var err error
	if cmd.Path, err = exec.LookPath("unshare"); err != nil {
		return err
	}
	out, err := cmd.CombinedOutput()
	if err == nil {
		return errors.New("an agent was started that counts by other clocks than its keeper")
	}
	if !strings.Contains(string(out), "another time namespace") {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (h *host) startController(ctx context.Context) error {
	if !h.voter || len(h.node.PIDs(controllerProcess)) > 0 {
		return nil
	}
	return h.run(ctx, "distsuperd", "start")
}

// returnController starts distsuperd, and waits until it is ready or, as it is not while etcd is away, listens at an address again.
func (r *round) returnController(ctx context.Context, h *host, at string) error {
	ready := make(chan error, 1)
	r.starts.Go(func() { ready <- h.startController(ctx) })
	for {
		select {
		case err := <-ready:
			return err
		case <-time.After(50 * time.Millisecond): // between two looks
		}
		if c, err := net.DialTimeout("tcp", at, time.Second); err == nil {
			return c.Close()
		}
	}
}

func (h *host) startEtcd() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.member == nil || h.member.Alive() {
		return nil
	}
	return h.member.Run()
}

// etcd sends a signal to the host's member, if it has one.
func (h *host) etcd(sig unix.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.member == nil || !h.member.Alive():
	case sig == unix.SIGKILL:
		h.member.Kill()
	default:
		h.member.Signal(sig)
	}
}

// start starts all daemons of the host that do not run.
func (h *host) start(ctx context.Context) error {
	return errors.Join(h.startEtcd(), h.startController(ctx), h.startAgent(ctx))
}

// whole takes back whatever was done to the host's processes.
func (h *host) whole(ctx context.Context) error {
	h.node.Signal(unix.SIGCONT)
	h.etcd(unix.SIGCONT)
	return h.start(ctx)
}

func hostName(i int) string { return fmt.Sprintf("h%d", i+1) }
func address(i int) string  { return fmt.Sprintf("10.99.0.%d", i+1) }
