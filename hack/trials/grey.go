package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// grey takes from one of two machines the descriptors that every start needs, and gives them back.
func grey(ctx context.Context, s *stage) error {
	f, err := s.fleet(ctx, 2)
	if err != nil {
		return err
	}
	defer f.Close()
	kept := f.Witness("kept")
	kept.Machines = []string{"m1"}
	if _, err := f.Client.Create(ctx, kept); err != nil {
		return err
	}
	if err := fleet.Until(ctx, patience, "it runs", f.Where(ctx, 1, fleet.Runs)); err != nil {
		return err
	}
	m1 := f.Machines[0]
	was, err := descriptors(m1, 8)
	if err != nil {
		return err
	}
	if err := s.greyPlaces(ctx, f); err != nil {
		return err
	}
	if _, err := descriptors(m1, was); err != nil {
		return err
	}
	err = fleet.Until(ctx, patience, "all run", f.Where(ctx, 8, fleet.Runs))
	s.found("it comes back by itself", err == nil, "%s", orElse(err, "what may run nowhere else runs there"))
	said := f.Machines[1].Run(ctx, "distsuperctl", "machines").Stdout
	s.found("and is not avoided any more", !strings.Contains(said, "avoided"), "%s", said)
	return s.greyRow(f)
}

// greyPlaces has six processes placed while nothing starts on m1, and one that may run only there.
func (s *stage) greyPlaces(ctx context.Context, f *fleet.Fleet) error {
	for i := range 7 {
		p := f.Witness(fmt.Sprintf("p%d", i))
		if i == 6 {
			p.Name, p.Machines = "pinned", []string{"m1"}
		}
		if _, err := f.Client.Create(ctx, p); err != nil {
			return err
		}
	}
	err := fleet.Until(ctx, patience, "all others run", func() (bool, string) {
		running, seen := 0, ""
		snap, err := f.Client.Snapshot(ctx)
		if err != nil {
			return false, err.Error()
		}
		for _, p := range snap.Processes() {
			if fleet.Runs(p) {
				running++
			}
			seen += fleet.Describe(p) + "; "
		}
		return running == 7, seen
	})
	s.found("what may run elsewhere does", err == nil, "%s", orElse(err, "6 of 6, and what ran there runs on"))
	said := f.Machines[1].Run(ctx, "distsuperctl", "machines").Stdout
	s.found("machines says that it is avoided, and why", strings.Contains(said, "avoided") && strings.Contains(said, "starts fail there"), "%s", said)
	p, err := process(ctx, f, "pinned")
	s.found("what may run nowhere else is not given up", err == nil && p.Owner != nil && p.Owner.Finished == nil, "%s", fleet.Describe(p))
	return nil
}

// greyRow is what the witnesses say.
func (s *stage) greyRow(f *fleet.Fleet) error {
	copies, err := f.Copies()
	if err != nil {
		return err
	}
	most, _ := witness.MaxCopies(copies)
	s.row("a machine that renews has no descriptor left for a start", "it is avoided, nothing is given up, it comes back by itself",
		fmt.Sprintf("8 processes, at most %d copies at once", most), most == 1)
	return nil
}

// descriptors sets how many the keeper of a machine may have, and returns how many it might.
func descriptors(m *cluster.Node, n uint64) (was uint64, err error) {
	pids := m.PIDs("distsuperagent keeper")
	if len(pids) == 0 {
		return 0, fmt.Errorf("%s has no keeper", m.Name)
	}
	for _, pid := range pids {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
			return 0, err
		}
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}, nil); err != nil {
			return 0, err
		}
		was = max(was, old.Cur)
	}
	return was, nil
}
