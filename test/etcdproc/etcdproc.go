// Package etcdproc runs real etcd servers, as the distribution packages them, for tests and measurements: one or three
// processes on ports of this host that can be killed, paused and started again.
package etcdproc

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/gate"
)

// Path is the etcd binary: DISTSUPER_TEST_ETCD, or etcd in PATH. A test that needs one cannot run without.
func Path(t testing.TB) string {
	t.Helper()
	name := os.Getenv("DISTSUPER_TEST_ETCD")
	if name == "" {
		name = "etcd"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		gate.Cannot(t, "no etcd server: %v (install etcd-server to run this test)", err)
	}
	return path
}

// Cluster is a set of members.
type Cluster struct{ Members []*Member }

// Member is one etcd process.
type Member struct {
	Client string // host:port for clients
	t      testing.TB
	args   []string // the command
	log    string
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Options say what a cluster is made of.
type Options struct {
	Path    string // of the etcd binary
	Dir     string // for their data and logs
	Members int
	// Address at which they listen, 127.0.0.1 when it is empty.
	Address string
	// Flags are added to each one's, and Before to the front of the command, such as ip netns exec NAME.
	Flags, Before []string
}

// Start runs a cluster of n members until the test ends and waits until it answers. flags are added to each one's.
func Start(t testing.TB, n int, flags ...string) *Cluster {
	t.Helper()
	c, err := New(Options{Path: Path(t), Dir: t.TempDir(), Members: n, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, m := range c.Members {
		m.t = t
	}
	c.Ready()
	return c
}

// New runs a cluster, which may not answer yet; see Await.
func New(o Options) (*Cluster, error) {
	o.Address = cmp.Or(o.Address, "127.0.0.1")
	ports, err := freePorts(2 * o.Members)
	if err != nil {
		return nil, err
	}
	peers := make([]string, o.Members)
	for i := range peers {
		peers[i] = fmt.Sprintf("m%d=http://%s:%d", i, o.Address, ports[2*i+1])
	}
	c := &Cluster{}
	for i := range o.Members {
		client := fmt.Sprintf("%s:%d", o.Address, ports[2*i])
		peer := fmt.Sprintf("http://%s:%d", o.Address, ports[2*i+1])
		m := &Member{Client: client, log: filepath.Join(o.Dir, fmt.Sprintf("m%d.log", i)),
			args: slices.Concat(o.Before, []string{o.Path, "--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(o.Dir, fmt.Sprintf("m%d", i)),
				"--listen-client-urls", "http://" + client, "--advertise-client-urls", "http://" + client,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--initial-cluster", strings.Join(peers, ","), "--initial-cluster-state", "new",
				"--logger", "zap", "--log-level", "warn"}, o.Flags)}
		if err := m.Run(); err != nil {
			c.Close()
			return nil, err
		}
		c.Members = append(c.Members, m)
	}
	return c, nil
}

// Close kills every member.
func (c *Cluster) Close() {
	for _, m := range c.Members {
		m.Kill()
	}
}

// Endpoints are the client addresses of all members.
func (c *Cluster) Endpoints() []string {
	var out []string
	for _, m := range c.Members {
		out = append(out, m.Client)
	}
	return out
}

// Ready waits until the cluster answers a linearizable read.
func (c *Cluster) Ready() {
	t := c.Members[0].t
	t.Helper()
	if err := c.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Await waits until the cluster answers a linearizable read.
func (c *Cluster) Await(ctx context.Context) error {
	cli, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = cli.Get(try, "ready")
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("etcd did not get ready: %w\n%s", err, c.Members[0].Log())
		}
	}
}

// Leader is the index of the member that leads, or -1.
func (c *Cluster) Leader() int {
	for i, m := range c.Members {
		cli, err := clientv3.New(clientv3.Config{Endpoints: []string{m.Client}, Logger: zap.NewNop()})
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		st, err := cli.Status(ctx, m.Client)
		cancel()
		_ = cli.Close()
		if err == nil && st.Leader == st.Header.MemberId {
			return i
		}
	}
	return -1
}

// Start runs the member's process, again after Kill.
func (m *Member) Start() {
	m.t.Helper()
	if err := m.Run(); err != nil {
		m.t.Fatal(err)
	}
}

// Run is Start without a test.
func (m *Member) Run() error {
	out, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(m.args[0], m.args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	// A test binary that is killed takes its servers with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, or its log tells
		close(ended)
	}()
	m.cmd, m.ended = cmd, ended
	return nil
}

// Kill ends the member with SIGKILL and waits for its end.
func (m *Member) Kill() {
	m.Signal(syscall.SIGKILL)
	<-m.ended
}

// Signal sends SIGSTOP, after which the member has stopped, SIGCONT and the like.
func (m *Member) Signal(sig syscall.Signal) {
	if err := m.cmd.Process.Signal(sig); err == nil && sig == syscall.SIGSTOP {
		cluster.AwaitStopped(m.cmd.Process.Pid)
	}
}

// Log is what the member wrote.
func (m *Member) Log() string {
	b, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// freePorts are loopback ports that were free a moment ago.
func freePorts(n int) ([]int, error) {
	var out []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		out = append(out, ln.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}
