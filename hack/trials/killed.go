package main

import (
	"context"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// patience is how long a trial waits for what is promised. The promises themselves are in its findings.
const patience = 60 * time.Second

// killed takes a machine's power away, and gives it back.
func killed(ctx context.Context, s *stage) error {
	f, err := s.fleet(ctx, 3)
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
	f.Machines[0].Kill()
	elsewhere := func(p client.Process) bool { return fleet.Runs(p) && p.Owner.Machine != "m1" }
	began := witness.Now()
	err = fleet.Until(ctx, patience, "all run elsewhere", f.Where(ctx, n, elsewhere))
	took := time.Duration(witness.Now() - began).Round(time.Millisecond)
	s.found("what ran on the dead machine runs elsewhere", err == nil, "%s", orElse(err, fmt.Sprintf("after %v", took)))
	_, err = f.Machines[0].Must(ctx, "distsuperagent", "start")
	s.found("the machine comes back by itself once it has power", err == nil, "%s", orElse(err, "distsuperagent start succeeded"))
	return s.once(f)
}

// orElse is the error's text, or another where there was none.
func orElse(err error, text string) string {
	if err != nil {
		return err.Error()
	}
	return text
}
