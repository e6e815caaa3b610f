package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/distsuper/distsuper/test/fleet"
)

// restored puts an older state of etcd in place of the present one, under a living fleet: as it was, and with a raised revision.
func restored(ctx context.Context, s *stage) error {
	for _, c := range []struct {
		kind        string
		own, raised bool
	}{{"own etcd", true, false}, {"another etcd", false, false}, {"revision raised", false, true}} {
		if err := s.goBack(ctx, c.kind, c.own, func(g *goneBack) error { return g.goToSnapshot(ctx, c.raised) }); err != nil {
			return err
		}
	}
	return s.goBack(ctx, "a wrong address", false, func(g *goneBack) error { return g.goElsewhere(ctx) })
}

func (g *goneBack) goToSnapshot(ctx context.Context, raised bool) error {
	saved := filepath.Join(filepath.Dir(g.data), "saved")
	if err := g.change(ctx, saved); err != nil {
		return err
	}
	err := g.etcdStops(ctx, true, func() error {
		if raised { // what stands still has its files open
			g.member().Kill()
		}
		if err := errors.Join(os.RemoveAll(g.data), copyDir(saved, g.data)); err != nil || !raised {
			return err
		}
		return g.raise(ctx, 1000)
	})
	if err != nil {
		return err
	}
	if raised {
		g.someNotice(ctx)
	} else {
		g.refusal(ctx, 15*time.Second)
	}
	pause(ctx, 5*time.Second)
	g.sameRun("while etcd is refused", "kept")
	began := time.Now()
	err = g.followAdvice(ctx)
	g.found("the advice of the message leads out", err == nil, "%s", orElse(err, fmt.Sprintf("after %v", time.Since(began).Round(100*time.Millisecond))))
	err = fleet.Until(ctx, 30*time.Second, "all run", g.running(ctx, "kept", "fenced", "moved"))
	g.found("everything that etcd knows of runs", err == nil, "%s", orElse(err, fmt.Sprintf("%v after the command began", time.Since(began).Round(100*time.Millisecond))))
	g.sameRun("after the command", "kept")
	return g.tokensRise(ctx, "fenced")
}

// change saves etcd's data, and then has things happen that the saved data does not know of: a move, and a new program.
func (g *goneBack) change(ctx context.Context, saved string) error {
	if err := g.create(ctx, "kept", "fenced", "moved"); err != nil {
		return err
	}
	if err := g.allRun(ctx, 3); err != nil {
		return err
	}
	if err := g.etcdStops(ctx, false, func() error { return copyDir(g.data, saved) }); err != nil {
		return err
	}
	to := "m1"
	if g.before["moved"].Owner.Machine == to {
		to = "m2"
	}
	if _, err := g.f.Controllers[0].Must(ctx, "distsuperctl", "move", "moved", to); err != nil {
		return err
	}
	if err := g.create(ctx, "late"); err != nil {
		return err
	}
	return g.allRun(ctx, 4)
}

// someNotice: where only the revision was raised, those notice for whom a key went back: the leader, and the machine from which a
// process was moved.
func (g *goneBack) someNotice(ctx context.Context) {
	began := time.Now()
	err := fleet.Until(ctx, 15*time.Second, "the controller refuses it", func() (bool, string) {
		r := g.f.Controllers[0].Run(ctx, "distsuperd", "status")
		return strings.Contains(r.Stdout, "etcd has gone back"), r.Stdout
	})
	g.found("the controller notices at once, and says so", err == nil && time.Since(began) < 10*time.Second, "%s",
		orElse(err, fmt.Sprintf("after %v", time.Since(began).Round(10*time.Millisecond))))
}

// advised is the command in a message.
var advised = regexp.MustCompile(`run "(distsuperctl [^"]+)"`)

// followAdvice runs, on another host, the command that the controller's status advises.
func (g *goneBack) followAdvice(ctx context.Context) error {
	status := g.f.Controllers[0].Run(ctx, "distsuperd", "status").Stdout
	found := advised.FindStringSubmatch(status)
	if found == nil {
		return fmt.Errorf("no advice: %s", status)
	}
	words := strings.Fields(found[1])
	_, err := g.f.Machines[1].Must(ctx, words[0], append(words[1:], "--yes")...)
	return err
}

// goElsewhere has a machine's agent meet another etcd for a while, as behind a wrong address, and then its own again.
func (g *goneBack) goElsewhere(ctx context.Context) error {
	if err := g.create(ctx, "kept", "fenced"); err != nil {
		return err
	}
	if err := g.allRun(ctx, 2); err != nil {
		return err
	}
	dir := g.data + "-other"
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	other, err := startEtcd(ctx, dir)
	if err != nil {
		return err
	}
	defer other.Close()
	right, wrong := g.member().Client, other.Members[0].Client
	if err := g.agentAt(ctx, right, wrong); err != nil {
		return err
	}
	m1 := g.f.Machines[0]
	err = fleet.Until(ctx, 15*time.Second, "the agent refuses it", func() (bool, string) {
		r := m1.Run(ctx, "distsuperagent", "status")
		return strings.Contains(r.Stdout, "etcd has gone back: it is cluster"), r.Stdout
	})
	g.found("another cluster is refused, and named", err == nil, "%s", orElse(err, "etcd has gone back: it is cluster ..."))
	if err := g.agentAt(ctx, wrong, right); err != nil {
		return err
	}
	err = fleet.Until(ctx, 30*time.Second, "all run", g.running(ctx, "kept", "fenced"))
	g.found("the return of the right one is the end of it", err == nil, "%s", orElse(err, "all runs, without a command"))
	g.sameRun("all the time", "kept")
	return nil
}

// agentAt begins m1's agent anew with another address of etcd.
func (g *goneBack) agentAt(ctx context.Context, was, is string) error {
	m1 := g.f.Machines[0]
	file := filepath.Join(m1.Dir, "distsuper.ini")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), was, is)), 0o600); err != nil {
		return err
	}
	if _, err := m1.Must(ctx, "distsuperagent", "stop"); err != nil {
		return err
	}
	return m1.Command(ctx, "distsuperagent", "start").Start() // it waits until the agent is ready
}
