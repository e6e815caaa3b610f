// Package cluster runs a whole distsuper on one host for the demo and the end-to-end tests:
// controllers and machines as built binaries, each with a folder, a configuration and a state directory of
// its own, as if it were a host of its own.
//
// Every process that a node starts carries a random mark in its environment, so that Kill finds
// what the node started, and nothing else, however it detached itself.
package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// markName is the environment variable of the mark. Processes inherit it, as they do not inherit DISTSUPER_ ones.
const markName = "CLUSTER_TEST_MARK"

// Cluster is the folder below which all nodes live and the binaries that they run.
type Cluster struct {
	Dir string
	Bin string
	// Etcd is the [etcd] section that nodes get; empty leaves a node to its embedded etcd.
	Etcd string
	// Env is added to the environment of everything that is run, as NAME=value.
	Env []string

	nodes []*Node
}

// New makes a cluster below dir with the binaries in bin. Close ends everything that it started.
func New(dir, bin string) *Cluster { return &Cluster{Dir: dir, Bin: bin} }

// Node is one host: a folder with a distsuper.ini, and a mark.
type Node struct {
	Name string
	Dir  string

	cluster *Cluster
	mark    string
	env     []string
}

// Node makes a node. config is the text of its distsuper.ini after the cluster's [etcd].
func (c *Cluster) Node(name, config string, env ...string) (*Node, error) {
	n := &Node{Name: name, Dir: filepath.Join(c.Dir, name), cluster: c, mark: name + "-" + random(), env: env}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return nil, err
	}
	text := config
	if c.Etcd != "" {
		text = c.Etcd + "\n" + config
	}
	if err := os.WriteFile(filepath.Join(n.Dir, "distsuper.ini"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	c.nodes = append(c.nodes, n)
	return n, nil
}

// Machine makes a node whose agent has the node's name. extra lines go into its [distsuperagent].
func (c *Cluster) Machine(name string, extra ...string) (*Node, error) {
	lines := append([]string{"[distsuperagent]", "machine = " + name, "http = 127.0.0.1:0"}, extra...)
	return c.Node(name, strings.Join(lines, "\n")+"\n")
}

// Controller makes a node whose distsuperd has the node's name.
func (c *Cluster) Controller(name string, extra ...string) (*Node, error) {
	lines := append([]string{"[distsuperd]", "id = " + name, "http = 127.0.0.1:0"}, extra...)
	return c.Node(name, strings.Join(lines, "\n")+"\n")
}

func random() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

// Result is what a command printed and how it ended.
type Result struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

// Run runs one of the three programs in the node's folder and waits for it.
func (n *Node) Run(ctx context.Context, program string, args ...string) Result {
	cmd := n.Command(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	r := Result{Stdout: out.String(), Stderr: errs.String(), Took: time.Since(begin)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		r.Code, r.Stderr = -1, r.Stderr+err.Error()
	}
	return r
}

// Command prepares a command in the node's folder, with the node's mark and without the caller's
// DISTSUPER_ settings.
func (n *Node) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(n.cluster.Bin, program), args...)
	cmd.Dir = n.Dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "DISTSUPER_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+n.Dir) // what a command keeps for its user is the node's
	cmd.Env = append(cmd.Env, n.cluster.Env...)
	cmd.Env = append(cmd.Env, n.env...)
	cmd.Env = append(cmd.Env, markName+"="+n.mark)
	cmd.WaitDelay = 2 * time.Second // a daemon in the background may hold the pipes
	return cmd
}

// Must is Run for a command that has to succeed; the error has what it printed.
func (n *Node) Must(ctx context.Context, program string, args ...string) (string, error) {
	r := n.Run(ctx, program, args...)
	if r.Code != 0 {
		return r.Stdout, fmt.Errorf("%s: %s %s: exit %d\n%s%s", n.Name, program, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout, nil
}

// PIDs are the live processes that the node started, by their command's name when any are given.
func (n *Node) PIDs(names ...string) []int {
	want := []byte(markName + "=" + n.mark)
	// A guardian has an environment of its own, which names the file of the keeper that it guards.
	guards := []byte(`"state":"` + n.Dir + "/")
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil || !hasVariable(env, want) && !bytes.Contains(env, guards) {
			continue
		}
		if len(names) == 0 || runs(pid, names) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func hasVariable(environ, want []byte) bool {
	for _, kv := range bytes.Split(environ, []byte{0}) {
		if bytes.Equal(kv, want) {
			return true
		}
	}
	return false
}

// runs reports whether the pid's program and first argument are one of names, as "distsuperagent keeper"
// or "distsuperagent".
func runs(pid int, names []string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	words := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
	program := filepath.Base(words[0])
	for _, name := range names {
		if name == program || len(words) > 1 && name == program+" "+words[1] {
			return true
		}
	}
	return false
}

// Kill sends SIGKILL to everything that the node started, at once: a machine that loses power. All are stopped
// first, so that none sees another's end.
func (n *Node) Kill() time.Time {
	pids := n.PIDs()
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGSTOP)
	}
	at := time.Now()
	for _, pid := range append(pids, n.PIDs()...) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	return at
}

// Signal sends a signal to the node's processes with one of these names (see PIDs) and says how many there were. After SIGSTOP
// they have stopped; see AwaitStopped.
func (n *Node) Signal(sig unix.Signal, names ...string) int {
	pids := n.PIDs(names...)
	for _, pid := range pids {
		_ = unix.Kill(pid, sig)
	}
	if sig == unix.SIGSTOP {
		AwaitStopped(pids...)
	}
	return len(pids)
}

// AwaitStopped waits until processes that got SIGSTOP have stopped: on a busy host their other threads run on until one of them has
// taken the signal.
func AwaitStopped(pids ...int) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !stopped(pids); {
		time.Sleep(time.Millisecond)
	}
}

// stopped reports whether no thread of the processes runs any more.
func stopped(pids []int) bool {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // none of one that has ended
		for _, task := range tasks {
			stat, err := os.ReadFile(task)
			if end := bytes.LastIndexByte(stat, ')'); err == nil && end+2 < len(stat) && !strings.ContainsRune("TtZX", rune(stat[end+2])) {
				return false
			}
		}
	}
	return true
}

// Close kills what any node started and waits until it is gone.
func (c *Cluster) Close() {
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := 0
		for _, n := range c.nodes {
			for _, pid := range n.PIDs() {
				_ = unix.Kill(pid, unix.SIGKILL)
				left++
			}
		}
		if left == 0 || time.Now().After(deadline) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
