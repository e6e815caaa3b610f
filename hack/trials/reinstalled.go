package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/hostid"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
)

// reinstalled wipes the state of a machine to which a program is pinned, on the same boot and on another one.
func reinstalled(ctx context.Context, s *stage) error {
	f, err := s.fleet(ctx, 1)
	if err != nil {
		return err
	}
	defer f.Close()
	pinned := f.Witness("pinned")
	pinned.Machines, pinned.TouchTimeout = []string{"m1"}, 5
	if _, err := f.Client.Create(ctx, pinned); err != nil {
		return err
	}
	if err := fleet.Until(ctx, patience, "it runs", f.Where(ctx, 1, fleet.Runs)); err != nil {
		return err
	}
	m := f.Machines[0]
	if h, err := m.Must(ctx, "distsuperagent", "status"); err != nil {
		return err
	} else if strings.Contains(h, "held by cgroup2") { // else a search proves nothing
		if err := s.lost(ctx, f, m, m, true, "wiped, on the same boot: it runs again unasked", api.ProofSearched); err != nil {
			return err
		}
	}
	bin, err := s.disguise("rebooted", asRebooted)
	if errors.Is(err, errors.ErrUnsupported) {
		return s.once(f)
	}
	if err != nil {
		return err
	}
	c, after, err := machineAs(m, f.Dir, bin)
	if err != nil {
		return err
	}
	defer c.Close()
	// Without a serial number nothing but its state directory tells a host from a clone of it.
	host, err := hostid.Read(filepath.Join(m.Dir, ".distsuper"))
	if err != nil {
		return err
	}
	promised := "booted again: it runs again unasked"
	if host.Hardware != "" {
		promised = "wiped, and " + promised
	}
	if err := s.lost(ctx, f, m, after, host.Hardware != "", promised, api.ProofRebooted); err != nil {
		return err
	}
	return s.once(f)
}

// lost takes a machine's power away, and perhaps its state, starts what comes after it, and looks whether the pinned program runs again.
func (s *stage) lost(ctx context.Context, f *fleet.Fleet, m, after *cluster.Node, wipe bool, promised string, proof api.Proof) error {
	before, err := process(ctx, f, "pinned")
	if err != nil {
		return err
	}
	m.Kill()
	if err := fleet.Until(ctx, patience, "it is dead", func() (bool, string) { return len(m.PIDs()) == 0, fmt.Sprint(m.PIDs()) }); err != nil {
		return err
	}
	if wipe {
		if err := os.RemoveAll(filepath.Join(m.Dir, ".distsuper")); err != nil {
			return err
		}
	}
	if _, err := after.Must(ctx, "distsuperagent", "start"); err != nil {
		return err
	}
	again := func(p client.Process) bool { return fleet.Runs(p) && p.Owner.Token > before.Owner.Token }
	err = fleet.Until(ctx, patience, "it runs again", f.Where(ctx, 1, again))
	why := m.Run(ctx, "distsuperctl", "why", "pinned").Stdout
	named := strings.Contains(why, "the run before was dead: "+string(proof))
	s.found(promised+", and why names the proof", err == nil && named, "%s", orElse(err, fmt.Sprintf("why names %q: %v", proof, named)))
	return nil
}
