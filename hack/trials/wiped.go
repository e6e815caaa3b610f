package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/distsuper/distsuper/test/fleet"
)

// wiped takes everything from etcd under a living fleet, and restores a backup with one command.
func wiped(ctx context.Context, s *stage) error {
	for _, own := range []bool{true, false} {
		kind := map[bool]string{true: "own etcd", false: "another etcd"}[own]
		if err := s.goBack(ctx, kind, own, func(g *goneBack) error { return g.wipe(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (g *goneBack) wipe(ctx context.Context) error {
	if err := g.create(ctx, "kept", "fenced"); err != nil {
		return err
	}
	if err := g.allRun(ctx, 2); err != nil {
		return err
	}
	controller := g.f.Controllers[0]
	file := filepath.Join(controller.Dir, "fleet.backup")
	if _, err := controller.Must(ctx, "distsuperctl", "backup", file); err != nil {
		return err
	}
	if err := g.etcdStops(ctx, true, func() error { return os.RemoveAll(g.data) }); err != nil {
		return err
	}
	g.refusal(ctx, 15*time.Second)
	pause(ctx, 5*time.Second)
	g.sameRun("while etcd is refused", "kept")
	began := time.Now()
	out, err := controller.Must(ctx, "distsuperctl", "restore", file, "--yes")
	g.found("one command leads out: restore", err == nil, "%s", orElse(err, fmt.Sprintf("after %v: %s", time.Since(began).Round(100*time.Millisecond), lastLine(out))))
	err = fleet.Until(ctx, 30*time.Second, "all run", g.running(ctx, "kept", "fenced"))
	g.found("everything runs again", err == nil, "%s", orElse(err, fmt.Sprintf("%v after the command began", time.Since(began).Round(100*time.Millisecond))))
	g.sameRun("after the command", "kept")
	return g.tokensRise(ctx, "fenced")
}
