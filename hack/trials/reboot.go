package main

import (
	"context"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// rebootTime is how long the only server is away in a planned reboot.
const rebootTime = 3 * time.Minute

// reboot takes the only distsuperd away on purpose, with its etcd, brings both back, and has a machine die after that.
func reboot(ctx context.Context, s *stage) error {
	f, err := fleet.Start(ctx, fleet.Options{Dir: s.Dir, Bin: s.Bin, Witness: s.Witness, Controllers: 1, Machines: 2})
	if err != nil {
		return err
	}
	defer f.Close()
	const n = 6
	for i := range n {
		if _, err := f.Client.Create(ctx, f.Witness(fmt.Sprintf("w%d", i))); err != nil {
			return err
		}
	}
	if err := fleet.Until(ctx, patience, "all run", f.Where(ctx, n, fleet.Runs)); err != nil {
		return err
	}
	d := f.Controllers[0]
	said, err := d.Must(ctx, "distsuperd", "stop", "--all")
	if err != nil {
		return err
	}
	pause(ctx, rebootTime)
	if _, err := d.Must(ctx, "distsuperd", "start"); err != nil {
		return err
	}
	if err := fleet.Until(ctx, patience, "all run", f.Where(ctx, n, fleet.Runs)); err != nil {
		return err
	}
	pause(ctx, 5*time.Second) // who would end because of it
	copies, err := f.Copies()
	if err != nil {
		return err
	}
	s.found("a planned reboot of the only server stops nothing", len(copies) == n, "%d processes had %d copies in %v without distsuperd and etcd; %s",
		n, len(copies), rebootTime, said)
	f.Machines[0].Kill()
	began := witness.Now()
	elsewhere := func(p client.Process) bool { return fleet.Runs(p) && p.Owner.Machine != "m1" }
	err = fleet.Until(ctx, patience, "all run elsewhere", f.Where(ctx, n, elsewhere))
	took := time.Duration(witness.Now() - began).Round(time.Millisecond)
	s.found("a machine that dies after that is not waited for any longer", err == nil, "%s", orElse(err, fmt.Sprintf("all run elsewhere after %v", took)))
	return s.once(f)
}
