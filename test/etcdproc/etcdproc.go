// Package etcdproc runs real etcd servers, as the distribution packages them, for tests: one or three
// processes on loopback ports that can be killed, paused and started again.
package etcdproc

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
	path   string
	args   []string
	log    string
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Start runs a cluster of n members until the test ends and waits until it answers. flags are added to each one's.
func Start(t testing.TB, n int, flags ...string) *Cluster {
	t.Helper()
	path, dir := Path(t), t.TempDir()
	ports := freePorts(t, 2*n)
	peers := make([]string, n)
	for i := range n {
		peers[i] = fmt.Sprintf("m%d=http://127.0.0.1:%d", i, ports[2*i+1])
	}
	c := &Cluster{}
	for i := range n {
		client := fmt.Sprintf("127.0.0.1:%d", ports[2*i])
		peer := fmt.Sprintf("http://127.0.0.1:%d", ports[2*i+1])
		m := &Member{Client: client, t: t, path: path, log: filepath.Join(dir, fmt.Sprintf("m%d.log", i)),
			args: []string{"--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(dir, fmt.Sprintf("m%d", i)),
				"--listen-client-urls", "http://" + client, "--advertise-client-urls", "http://" + client,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--initial-cluster", strings.Join(peers, ","), "--initial-cluster-state", "new",
				"--logger", "zap", "--log-level", "warn"}}
		m.args = append(m.args, flags...)
		c.Members = append(c.Members, m)
		m.Start()
	}
	t.Cleanup(func() {
		for _, m := range c.Members {
			m.Kill()
		}
	})
	c.Ready()
	return c
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
	cli, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = cli.Get(try, "ready")
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("etcd did not get ready: %v\n%s", err, c.Members[0].Log())
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
	out, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(m.path, m.args...)
	cmd.Stdout, cmd.Stderr = out, out
	// A test binary that is killed takes its servers with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, or its log tells
		close(ended)
	}()
	m.cmd, m.ended = cmd, ended
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
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var out []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		out = append(out, ln.Addr().(*net.TCPAddr).Port)
	}
	return out
}
