// Package soak runs a fleet on this host for long, with all that happens to one going on, and looks whether its daemons stay as small
// as they were.
//
// It goes in rounds. In each of them processes are started, stopped, restarted, moved, killed and removed, logs are rotated and read,
// and an agent is exchanged; then it is quiet, all is as before the round, and each daemon is measured. What a daemon then has more of,
// round after round, it never gives back (Growth).
package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
)

// Options say how long, and of what the fleet is made.
type Options struct {
	// Dir is an empty folder, Bin the folder of the three binaries.
	Dir, Bin string
	// Machines of the fleet, at least two. The agent of the last one is exchanged again and again.
	Machines int
	// Steady processes run all the time, Passing ones are made and removed in each round.
	Steady, Passing int
	// Last is how long rounds are begun.
	Last time.Duration
	// Seed of what happens to whom.
	Seed uint64
	// Say is told how far it is; nil is silent.
	Say func(string)
}

// Usual is a small fleet for half an hour.
func Usual() Options {
	return Options{Machines: 3, Steady: 20, Passing: 10, Last: 30 * time.Minute, Seed: 1}
}

// patience bounds the waiting for what must come.
const patience = 2 * time.Minute

// Run makes a fleet and soaks it. The error says what did not work, not that something grew.
func Run(ctx context.Context, o Options) (Series, error) {
	f, err := fleet.Start(ctx, fleet.Options{Dir: o.Dir, Bin: o.Bin, Controllers: 2, Machines: o.Machines})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &soak{Fleet: f, o: o, random: rand.New(rand.NewPCG(o.Seed, 0)), series: Series{}}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	for began, round := time.Now(), 1; time.Since(began) < o.Last; round++ {
		if err := s.round(ctx); err != nil {
			return s.series, fmt.Errorf("round %d: %w", round, err)
		}
		if o.Say != nil {
			o.Say(fmt.Sprintf("round %d: %s", round, s.series.last()))
		}
	}
	return s.series, nil
}

// soak is a fleet that is soaked.
type soak struct {
	*fleet.Fleet
	o      Options
	random *rand.Rand
	series Series
}

// prepare makes what is there in every round: steady processes, and one that talks.
func (s *soak) prepare(ctx context.Context) error {
	talker := client.Program("talker", `sh -c 'while :; do seq 2000; sleep 0.5; done'`)
	talker.Stdout.MaxBytes, talker.Stdout.Backups = 64<<10, 2
	talker.Autostart, talker.TouchTimeout = true, 2
	for _, p := range []api.Program{s.many("steady", "sleep 100000", s.o.Steady), talker} {
		if _, err := s.Client.Create(ctx, p); err != nil {
			return err
		}
	}
	return s.calm(ctx)
}

func (s *soak) many(name, command string, n int) api.Program {
	p := client.Program(name, command)
	p.ProcessName, p.Numprocs, p.Autostart, p.TouchTimeout = "%(program_name)s-%(process_num)d", n, true, 2
	return p
}

// calm waits until everything is as at the beginning of a round.
func (s *soak) calm(ctx context.Context) error {
	return fleet.Until(ctx, patience, "all runs again", s.Where(ctx, s.o.Steady+1, fleet.Runs))
}

// round is everything once, and the measuring.
func (s *soak) round(ctx context.Context) error {
	for _, act := range []func(context.Context) error{s.pass, s.change, s.crash, s.move, s.look, s.exchange} {
		if err := act(ctx); err != nil {
			return err
		}
		if err := s.calm(ctx); err != nil {
			return err
		}
	}
	return s.measure(ctx)
}

// pass makes processes that keep exiting, and removes them.
func (s *soak) pass(ctx context.Context) error {
	p := s.many("passing", "sleep 0.2", s.o.Passing)
	p.Autorestart, p.StartSecs = api.RestartAlways, 0
	id, err := s.Client.Create(ctx, p)
	if err != nil {
		return err
	}
	if err := fleet.Until(ctx, patience, "each new one has been started again", s.Where(ctx, s.o.Steady+1+s.o.Passing, func(p client.Process) bool {
		return p.Status != nil && (p.Program != id || p.Status.Starts > 2)
	})); err != nil {
		return err
	}
	_, err = s.Client.Remove(ctx, id)
	return err
}

// some are a few of the steady processes that run.
func (s *soak) some(ctx context.Context) (picked []client.Process, err error) {
	snap, err := s.Client.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	all := snap.Processes()
	s.random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for _, p := range all {
		if p.Name != "talker" && p.Status != nil && len(picked) < 5 {
			picked = append(picked, p)
		}
	}
	return picked, nil
}

// change restarts some, and stops and starts others.
func (s *soak) change(ctx context.Context) error {
	some, err := s.some(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, p := range some {
		names = append(names, p.Name)
	}
	for _, ask := range []func(context.Context, []string) ([]string, error){
		s.Client.RestartProcesses, s.Client.StopProcesses, s.Client.StartProcesses,
	} {
		if _, err := ask(ctx, names); err != nil {
			return err
		}
	}
	return nil
}

// crash kills some.
func (s *soak) crash(ctx context.Context) error {
	some, err := s.some(ctx)
	for _, p := range some {
		if p.Status.PID > 0 {
			err = errors.Join(err, kill(p.Status.PID))
		}
	}
	return err
}

// move sends some to the next machine.
func (s *soak) move(ctx context.Context) error {
	some, err := s.some(ctx)
	if err != nil {
		return err
	}
	for _, p := range some {
		to := s.Machines[s.random.IntN(len(s.Machines))].Name
		if p.Owner == nil || p.Owner.Machine == to {
			continue
		}
		if err := s.Client.MoveProcess(ctx, p.Name, to); err != nil {
			return err
		}
	}
	return nil
}

// look asks what users ask.
func (s *soak) look(ctx context.Context) error {
	for _, args := range [][]string{{"status"}, {"machines"}, {"tail", "talker"}, {"history", "talker"}, {"why", "talker"}} {
		if r := s.Controllers[1].Run(ctx, "distsuperctl", args...); r.Code != 0 {
			return fmt.Errorf("distsuperctl %v: exit %d: %s%s", args, r.Code, r.Stdout, r.Stderr)
		}
	}
	return nil
}

// exchange has the last machine's agent restart.
func (s *soak) exchange(ctx context.Context) error {
	_, err := s.Machines[len(s.Machines)-1].Must(ctx, "distsuperagent", "restart")
	return err
}
