package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/sim"
)

type verifyOptions struct {
	seeds, workers int
	first, seed    uint64
	one, pairs     bool
}

// addVerify adds the command that simulates.
func (c *ctl) addVerify(root *cobra.Command) {
	o := verifyOptions{}
	cmd := &cobra.Command{
		Use: "verify", Short: "simulate fleets with faults, and check the promises of distsuper",
		Long: `verify plays fleets in virtual time, with faults drawn from seeds: machines, controllers and etcd die, stand still and are cut
off, and users change things meanwhile. What decides in them is the code of the daemons of this version. It checks after each event that no
process has two copies, and the other promises of distsuper. It connects to nothing, and changes nothing.

A seed always has the same story, on any machine; --seed prints it. verify ends at the first promise that is broken, with the shortest
story that it finds of it.

Exit codes: 0 all promises were kept, 1 one was broken.`,
		Example: "  distsuperctl verify --seeds 1000\n  distsuperctl verify --seed 7", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.one = cmd.Flags().Changed("seed")
			return runVerify(cmd.Context(), c, o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.seeds, "seeds", 1000, "how many fleets are played")
	f.Uint64Var(&o.first, "first", 1, "the first seed")
	f.Uint64Var(&o.seed, "seed", 0, "play this seed alone, and print its story")
	f.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many are played at once")
	f.BoolVar(&o.pairs, "pairs", false, "play every pair of faults instead of seeds")
	root.AddCommand(cmd)
}

// errBroken ends verify; the story has been printed.
var errBroken = errors.New("a promise was broken")

func runVerify(ctx context.Context, c *ctl, o verifyOptions) error {
	if o.one {
		return c.showTale(sim.OfSeed(o.seed))
	}
	for _, t := range sim.Kept() {
		if r := sim.Play(t, false); r.Broken != nil {
			return c.showTale(t)
		}
	}
	campaign := sim.Campaign{First: o.first, Seeds: o.seeds, Workers: o.workers, Progress: c.verifyProgress(o)}
	if o.pairs {
		campaign.First, campaign.Seeds, campaign.Tale = 0, sim.Pairs(), sim.OfPair
	}
	done, broken := campaign.Run(ctx)
	if broken != nil {
		fmt.Fprintf(c.err, "distsuperctl: seed %d: %v; looking for a shorter story of it\n", broken.Seed, broken.Broken)
		return c.showTale(sim.Shrink(broken.Tale, broken.Broken.What, 500))
	}
	c.sayVerified(done)
	return ctx.Err()
}

// sayVerified says what was played.
func (c *ctl) sayVerified(done sim.Progress) {
	if c.json {
		_ = printJSON(c.out, map[string]any{"seeds": done.Seeds, "events": done.Steps, "seconds": done.World.Seconds(), "copies": done.Copies,
			"longest_gap_seconds": done.Worst.Seconds(), "times_real_time": speed(done)})
		return
	}
	c.printf("%s: every promise was kept\n", verified(done))
}

// verified is what was played, for people.
func verified(done sim.Progress) string {
	return fmt.Sprintf("%d seeds, %.1f days of fleets, %d starts, %d events, %.0f times real time on each core", done.Seeds, done.World.Hours()/24, done.Copies,
		done.Steps, speed(done))
}

// speed is how much faster than real time a core plays.
func speed(done sim.Progress) float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return done.World.Seconds() / time.Duration(u.Utime.Nano()+u.Stime.Nano()).Seconds()
}

// verifyProgress tells now and then how far it is.
func (c *ctl) verifyProgress(o verifyOptions) func(sim.Progress) {
	next := 0
	return func(done sim.Progress) {
		if step := max(o.seeds/20, 100); done.Seeds >= next+step {
			next += step
			fmt.Fprintln(c.err, verified(done))
		}
	}
}

// showTale prints a story. It fails when that breaks a promise.
func (c *ctl) showTale(t sim.Tale) error {
	r := sim.Play(t, true)
	sim.WriteStory(c.out, r.Story)
	c.printf("\n%v", t)
	if r.Broken == nil {
		return nil
	}
	return &exitError{1, fmt.Errorf("%w: %v", errBroken, r.Broken)}
}
