// Package etcdproc runs real etcd servers, as the distribution packages them, for tests and measurements: one or three
// processes on ports of this host that can be killed, paused and started again, and whose disks can be slow.
package etcdproc

import (
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
	"github.com/distsuper/distsuper/test/slowdisk"
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
	Client string         // host:port for clients
	Disk   *slowdisk.Disk // of a cluster with slow disks, else nil
	t      testing.TB
	args   []string // the command, but for the cluster's members and whether it is a new one
	peers  string   // the cluster's members
	joins  bool     // a cluster that is there
	name   string
	peer   string // URL for the other members
	data   string // directory
	log    string
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Options say what a cluster is made of.
type Options struct {
	Path    string // of the etcd binary
	Dir     string // for their data and logs
	Members int    // on this host
	// Hosts, of which each gets a member; Members does not count then.
	Hosts []Host
	// Flags are added to each one's.
	Flags []string
	// SlowDisks: each member has a Disk.
	SlowDisks bool
}

// Host is where a member runs.
type Host struct {
	Address string
	// Before is added to the front of the command, such as ip netns exec NAME.
	Before []string
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
	if len(o.Hosts) == 0 {
		o.Hosts = slices.Repeat([]Host{{Address: "127.0.0.1"}}, o.Members)
	}
	ports, err := freePorts(2 * len(o.Hosts))
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	var peers []string
	for i, h := range o.Hosts {
		name := fmt.Sprintf("m%d", i)
		m := &Member{Client: fmt.Sprintf("%s:%d", h.Address, ports[2*i]), peer: fmt.Sprintf("http://%s:%d", h.Address, ports[2*i+1]),
			name: name, data: filepath.Join(o.Dir, name), log: filepath.Join(o.Dir, name+".log")}
		m.args = slices.Concat(h.Before, []string{o.Path, "--name", name, "--data-dir", m.data,
			"--listen-client-urls", "http://" + m.Client, "--advertise-client-urls", "http://" + m.Client,
			"--listen-peer-urls", m.peer, "--initial-advertise-peer-urls", m.peer, "--logger", "zap", "--log-level", "warn"}, o.Flags)
		if o.SlowDisks {
			m.Disk = &slowdisk.Disk{}
		}
		peers = append(peers, name+"="+m.peer)
		c.Members = append(c.Members, m)
	}
	for _, m := range c.Members {
		m.peers = strings.Join(peers, ",")
		if err := m.Run(); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// Close kills every member.
func (c *Cluster) Close() {
	for _, m := range c.Members {
		if m.ended != nil {
			m.Kill()
		}
	}
}

// Wipe kills a member, and has one without its data take its place, which the others must be able to agree on.
func (c *Cluster) Wipe(ctx context.Context, i int) error {
	m := c.Members[i]
	m.Kill()
	var others []string
	for j, o := range c.Members {
		if j != i {
			others = append(others, o.Client)
		}
	}
	cli, err := clientv3.New(clientv3.Config{Endpoints: others, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer cli.Close()
	list, err := cli.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("list the members: %w", err)
	}
	for _, member := range list.Members {
		if slices.Contains(member.PeerURLs, m.peer) {
			if _, err := cli.MemberRemove(ctx, member.ID); err != nil {
				return fmt.Errorf("remove member %s: %w", m.name, err)
			}
		}
	}
	if err := os.RemoveAll(m.data); err != nil {
		return err
	}
	if _, err := cli.MemberAdd(ctx, []string{m.peer}); err != nil {
		return fmt.Errorf("add member %s: %w", m.name, err)
	}
	m.joins = true
	return m.Run()
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
	err := await(ctx, c.Endpoints())
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, c.Members[0].Log())
	}
	return err
}

func await(ctx context.Context, endpoints []string) error {
	cli, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
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
			return fmt.Errorf("etcd did not get ready: %w", err)
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

// Aside has something done with a member that was killed, while it runs at another address, where nobody else finds it.
func (m *Member) Aside(ctx context.Context, do func(client string) error) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	client := fmt.Sprintf("127.0.0.1:%d", ports[0])
	if err := m.run("--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client); err != nil {
		return err
	}
	defer m.Kill()
	if err := await(ctx, []string{client}); err != nil {
		return fmt.Errorf("%w\n%s", err, m.Log())
	}
	return do(client)
}

// Run is Start without a test.
func (m *Member) Run() error { return m.run() }

// run runs the process; of a flag that is given twice the last one counts.
func (m *Member) run(flags ...string) error {
	out, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	state := "new"
	if m.joins {
		state = "existing"
	}
	cmd := exec.Command(m.args[0], slices.Concat(m.args[1:], []string{"--initial-cluster", m.peers, "--initial-cluster-state", state}, flags)...)
	cmd.Stdout, cmd.Stderr = out, out
	// A test binary that is killed takes its servers with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	start := cmd.Start
	if m.Disk != nil {
		start = func() error { return m.Disk.Start(cmd) }
	}
	if err := start(); err != nil {
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

// Data is the member's directory.
func (m *Member) Data() string { return m.data }

// Alive reports whether the member's process runs, be it stopped.
func (m *Member) Alive() bool {
	select {
	case <-m.ended:
		return false
	default:
		return true
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
