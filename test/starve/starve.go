// Package starve takes the processors and the disk of this host away from a fleet that runs on it, and counts what the fleet
// does about it.
//
// Nobody is killed and nothing is cut off, so every machine that is lost, every process that is fenced and every one that is
// moved is a mistake: a healthy machine was late.
package starve

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// Options say what is starved, and how.
type Options struct {
	// Dir is an empty folder, Bin the folder of the three binaries, Witness the program that testifies.
	Dir, Bin, Witness string
	// Machines of the fleet. Once processes run all the time, and testify that each of them runs once. Sleepers are started,
	// all at once, and removed again and again while the host is starved.
	Machines, Once, Sleepers int
	// TouchTimeout of all of them, in seconds.
	TouchTimeout int
	// Hogs want the processor all the time for as long as Last. Nice is their nice value: the daemons' own, -10, makes them as
	// strong as the daemons, which is how it is where these may not be preferred.
	Hogs, Nice int
	Last       time.Duration
	// Say is told how far it is; nil is silent.
	Say func(string)
}

// Usual is a host at a load of 100 with a fleet that once fell apart at less.
func Usual() Options {
	return Options{Machines: 3, Once: 25, Sleepers: 170, TouchTimeout: 5, Hogs: 100, Last: 60 * time.Second}
}

// Seen is what came of it.
type Seen struct {
	Load                 float64 // threads that had or wanted a processor, on average
	Rounds               int     // of starting all sleepers
	Slowest              time.Duration
	Lost, Fenced, Moved  int
	Leaders              int    // how often another one led
	MostMoved            string // the process that was moved most often, with how often
	Copies, Simultaneous int    // of the witnesses: how many there were, and at most at once of one process
}

// False reports whether anything was done for which there was no reason, or ran twice.
func (s Seen) False() bool { return s.Lost+s.Fenced+s.Moved > 0 || s.Simultaneous > 1 }

// Table is what was seen, for people.
func (s Seen) Table() string {
	var b strings.Builder
	b.WriteString("| seen | |\n|---|---|\n")
	row := func(what string, value any) { fmt.Fprintf(&b, "| %s | %v |\n", what, value) }
	row("threads that had or wanted a processor, on average", fmt.Sprintf("%.0f", s.Load))
	row("times that all sleepers were started", s.Rounds)
	row("the slowest of them, until all ran", s.Slowest.Round(time.Millisecond))
	row("machines lost", s.Lost)
	row("processes fenced", s.Fenced)
	row("processes moved", s.Moved)
	if s.MostMoved != "" {
		row("moved most often", s.MostMoved)
	}
	row("leaders elected", s.Leaders)
	row("copies of the processes that testify", s.Copies)
	row("of one process at once, at most", s.Simultaneous)
	return b.String()
}

// patience bounds the waiting for what must come.
const patience = 3 * time.Minute

// Run makes a fleet, starves it, and waits until all runs that is to run.
func Run(ctx context.Context, o Options) (seen Seen, err error) {
	f, err := fleet.Start(ctx, fleet.Options{Dir: o.Dir, Bin: o.Bin, Witness: o.Witness, Controllers: 2, Machines: o.Machines})
	if err != nil {
		return seen, err
	}
	defer f.Close()
	h := &host{Fleet: f, o: o}
	if err := h.start(ctx, h.once(), o.Once); err != nil {
		return seen, err
	}
	n := newNotes(ctx, f.Client)
	defer n.close()
	if err := h.starve(ctx, &seen); err != nil {
		return seen, err
	}
	if err := h.await(ctx, o.Once); err != nil {
		return seen, err
	}
	n.close()
	n.sum(&seen)
	copies, err := f.Copies()
	if err != nil {
		return seen, err
	}
	seen.Copies = len(copies)
	seen.Simultaneous, _ = witness.MaxCopies(copies)
	return seen, nil
}

// host is the one on which all of this happens.
type host struct {
	*fleet.Fleet
	o Options
}

// once testifies, each copy all the time.
func (h *host) once() api.Program {
	p := h.Witness("once", "-beat", "20ms")
	p.ProcessName, p.Numprocs, p.TouchTimeout = "%(program_name)s-%(process_num)d", h.o.Once, h.o.TouchTimeout
	return p
}

// sleeper only takes its place.
func (h *host) sleeper() api.Program {
	p := client.Program("sleeper", "sleep 100000")
	p.ProcessName, p.Numprocs, p.TouchTimeout, p.Autostart = "%(program_name)s-%(process_num)d", h.o.Sleepers, h.o.TouchTimeout, true
	return p
}

// start makes a program, and waits until so many processes run.
func (h *host) start(ctx context.Context, p api.Program, running int) error {
	if _, err := h.Client.Create(ctx, p); err != nil {
		return err
	}
	return h.await(ctx, running)
}

func (h *host) await(ctx context.Context, running int) error {
	err := fleet.Until(ctx, patience, "all run", h.Where(ctx, running, fleet.Runs))
	if err == nil && h.o.Say != nil {
		h.o.Say(fmt.Sprintf("%d processes run", running))
	}
	return err
}

// starve lets the hogs loose for a while, in which the sleepers come and go.
func (h *host) starve(ctx context.Context, seen *Seen) error {
	hogs, err := Release(h.o.Dir, h.o.Hogs, h.o.Nice)
	defer func() { seen.Load = hogs.Feed() }()
	if err != nil {
		return err
	}
	for end := time.Now().Add(h.o.Last); time.Now().Before(end); seen.Rounds++ {
		began := time.Now()
		if err := h.start(ctx, h.sleeper(), h.o.Once+h.o.Sleepers); err != nil {
			return err
		}
		seen.Slowest = max(seen.Slowest, time.Since(began))
		if _, err := h.Client.Remove(ctx, "sleeper"); err != nil {
			return err
		}
		if err := h.await(ctx, h.o.Once); err != nil {
			return err
		}
	}
	return nil
}
