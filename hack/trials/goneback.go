package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
)

// goneBack is a fleet whose etcd, distsuperd's own or another, loses what it knew.
type goneBack struct {
	*stage
	f      *fleet.Fleet
	kind   string                    // in what is found
	data   string                    // etcd's data directory
	other  *etcdproc.Cluster         // of one member; nil plays with distsuperd's own
	before map[string]client.Process // as they ran before
}

// goBack plays with a fleet on distsuperd's own etcd, or on another.
func (s *stage) goBack(ctx context.Context, kind string, own bool, play func(g *goneBack) error) error {
	dir := filepath.Join(s.Dir, strings.ReplaceAll(kind, " ", "-"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	g := &goneBack{stage: s, kind: kind, before: map[string]client.Process{}}
	o := fleet.Options{Dir: filepath.Join(dir, "fleet"), Bin: s.Bin, Witness: s.Witness, Controllers: 1, Machines: 2}
	if err := os.Mkdir(o.Dir, 0o700); err != nil {
		return err
	}
	if !own {
		var err error
		if g.other, err = startEtcd(ctx, dir); err != nil {
			return err
		}
		defer g.other.Close()
		g.data, o.Endpoints = g.member().Data(), g.other.Endpoints()
	}
	f, err := fleet.Start(ctx, o)
	if err != nil {
		return err
	}
	defer f.Close()
	if g.f = f; own {
		g.data = filepath.Join(f.Controllers[0].Dir, ".distsuper", "etcd", "data")
	}
	if err := play(g); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return s.once(f)
}

// startEtcd runs an etcd of one member, as the distribution packages it.
func startEtcd(ctx context.Context, dir string) (*etcdproc.Cluster, error) {
	path, err := etcdPath()
	if err != nil {
		return nil, fmt.Errorf("start etcd (package etcd-server): %w", err)
	}
	c, err := etcdproc.New(etcdproc.Options{Path: path, Dir: dir, Members: 1})
	if err != nil {
		return nil, err
	}
	if err := c.Await(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// member is the only one of an etcd that is not distsuperd's own.
func (g *goneBack) member() *etcdproc.Member { return g.other.Members[0] }

// found notes a finding about this kind of etcd.
func (g *goneBack) found(promised string, held bool, seen string, args ...any) {
	g.stage.found(g.kind+": "+promised, held, seen, args...)
}

// create makes programs of one process each: kept and late may run on one machine only, so they are kept without etcd.
func (g *goneBack) create(ctx context.Context, names ...string) error {
	for _, name := range names {
		p := g.f.Witness(name)
		switch name {
		case "kept":
			p.Machines = []string{"m1"}
		case "late":
			p.Machines = []string{"m2"}
		case "moved":
			p.Priority = 1
		}
		if _, err := g.f.Client.Create(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// allRun waits until so many run, and remembers how.
func (g *goneBack) allRun(ctx context.Context, n int) error {
	if err := fleet.Until(ctx, patience, "all run", g.f.Where(ctx, n, fleet.Runs)); err != nil {
		return err
	}
	snap, err := g.f.Client.Snapshot(ctx)
	if err != nil {
		return err
	}
	for _, p := range snap.Processes() {
		g.before[p.Name] = p
	}
	return nil
}

// etcdStops has etcd stand still while its data is looked at, or exchanged: then it is killed, and starts with what is there.
func (g *goneBack) etcdStops(ctx context.Context, exchange bool, do func() error) error {
	signal := func(sig unix.Signal) {
		if g.other != nil {
			g.member().Signal(sig)
			return
		}
		g.f.Controllers[0].Signal(sig, "distsuperd etcd")
	}
	signal(unix.SIGSTOP)
	err := do()
	switch {
	case !exchange || err != nil:
		signal(unix.SIGCONT)
		return err
	case g.other == nil:
		signal(unix.SIGKILL) // distsuperd starts it again
		return nil
	}
	g.member().Kill()
	if err := g.member().Run(); err != nil {
		return err
	}
	return g.other.Await(ctx)
}

// copyDir is cp -a.
func copyDir(from, to string) error {
	out, err := exec.Command("cp", "-a", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cp -a %s %s: %w: %s", from, to, err, out)
	}
	return nil
}

// refusal waits until the daemons say that etcd went back, and returns what the last of them says.
func (g *goneBack) refusal(ctx context.Context, within time.Duration) (says string) {
	began := time.Now()
	var silent []string
	look := func() (bool, string) {
		silent = nil
		for _, d := range []struct {
			node    *cluster.Node
			program string
		}{{g.f.Controllers[0], "distsuperd"}, {g.f.Machines[0], "distsuperagent"}, {g.f.Machines[1], "distsuperagent"}} {
			if r := d.node.Run(ctx, d.program, "status"); strings.Contains(r.Stdout, "etcd has gone back") {
				says = r.Stdout
			} else {
				silent = append(silent, d.program+" of "+d.node.Name)
			}
		}
		return len(silent) == 0, strings.Join(silent, ", ")
	}
	err := fleet.Until(ctx, within, "every daemon refuses it", look)
	g.found("every daemon notices, and says so", err == nil, "%s", orElse(err, fmt.Sprintf("after %v", time.Since(began).Round(10*time.Millisecond))))
	return says
}

// sameRun notes whether the kept processes are still the same ones.
func (g *goneBack) sameRun(when string, names ...string) {
	var gone []string
	for _, name := range names {
		if pid := g.before[name].Status.PID; unix.Kill(pid, 0) != nil {
			gone = append(gone, fmt.Sprintf("%s (pid %d) has ended", name, pid))
		}
	}
	g.found("what is kept runs on "+when, len(gone) == 0, "%s", orElse(asError(gone), strings.Join(names, ", ")+" with the pids of before"))
}

func asError(texts []string) error {
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// tokensRise notes whether the token of a process that is restarted is above every one of before.
func (g *goneBack) tokensRise(ctx context.Context, name string) error {
	most := int64(0)
	for _, p := range g.before {
		most = max(most, p.Owner.Token)
	}
	if _, err := g.f.Controllers[0].Must(ctx, "distsuperctl", "restart", name); err != nil {
		return err
	}
	snap, err := g.f.Client.Snapshot(ctx)
	if err != nil {
		return err
	}
	fallen := []string{}
	for _, p := range snap.Processes() {
		if was, found := g.before[p.Name]; found && p.Owner != nil && p.Owner.Token < was.Owner.Token {
			fallen = append(fallen, fmt.Sprintf("%s from %d to %d", p.Name, was.Owner.Token, p.Owner.Token))
		}
	}
	got := snap.Process(name).Owner.Token
	g.found("tokens only rise", got > most && len(fallen) == 0, "%s: %d, after at most %d; fallen: %v", name, got, most, fallen)
	return nil
}

// running is the condition that processes run.
func (g *goneBack) running(ctx context.Context, names ...string) func() (bool, string) {
	return func() (bool, string) {
		snap, err := g.f.Client.Snapshot(ctx)
		if err != nil {
			return false, err.Error()
		}
		var not []string
		for _, name := range names {
			if p := snap.Process(name); p == nil || !fleet.Runs(*p) {
				not = append(not, name)
			}
		}
		return len(not) == 0, fmt.Sprintf("%v do not", not)
	}
}

// raise raises the revision of etcd's data by so much, and compacts what was before, as "etcdutl snapshot restore --bump-revision" does.
func (g *goneBack) raise(ctx context.Context, by int) error {
	return g.member().Aside(ctx, func(client string) error {
		cli, err := clientv3.New(clientv3.Config{Endpoints: []string{client}, Logger: zap.NewNop()})
		if err != nil {
			return err
		}
		defer cli.Close()
		var rev int64
		for range by {
			res, err := cli.Put(ctx, "/raise", "")
			if err != nil {
				return fmt.Errorf("raise the revision: %w", err)
			}
			rev = res.Header.Revision
		}
		_, err = cli.Compact(ctx, rev)
		return err
	})
}

// lastLine is the last line of what a command printed.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
