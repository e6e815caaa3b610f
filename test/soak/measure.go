package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/cluster"
)

// A Sample is how large a daemon is.
type Sample struct {
	Goroutines, Descriptors, Threads int
	Memory                           int // kB of its own, without files
}

// least takes of each figure the smaller one: what a request that is just answered takes is no part of a daemon.
func (a Sample) least(b Sample) Sample {
	return Sample{min(a.Goroutines, b.Goroutines), min(a.Descriptors, b.Descriptors), min(a.Threads, b.Threads), min(a.Memory, b.Memory)}
}

func (a Sample) plus(b Sample) Sample {
	return Sample{a.Goroutines + b.Goroutines, a.Descriptors + b.Descriptors, a.Threads + b.Threads, a.Memory + b.Memory}
}

// daemon is one to be measured.
type daemon struct {
	name       string
	pid        int
	goroutines int
}

const (
	// looks at each daemon in a round, of which the least counts.
	looks = 5
	pause = 200 * time.Millisecond // between them
)

// measure adds a sample of each daemon. The keepers are one: what each of them has depends on how many processes are where.
func (s *soak) measure(ctx context.Context) error {
	round := map[string]Sample{}
	for range looks {
		daemons, err := s.daemons(ctx)
		if err != nil {
			return err
		}
		now := map[string]Sample{}
		for _, d := range daemons {
			sample, err := measure(d)
			if err != nil {
				return err
			}
			now[d.name] = now[d.name].plus(sample)
		}
		for name, sample := range now {
			if before, any := round[name]; any {
				sample = sample.least(before)
			}
			round[name] = sample
		}
		time.Sleep(pause)
	}
	for name, sample := range round {
		s.series[name] = append(s.series[name], sample)
	}
	return nil
}

// daemons asks each one how many goroutines it has.
func (s *soak) daemons(ctx context.Context) (all []daemon, err error) {
	for _, n := range s.Controllers {
		var status struct {
			Daemon struct{ PID int }
			Health struct{ Goroutines int }
		}
		if err := ask(ctx, n, "distsuperd", &status); err != nil {
			return nil, err
		}
		all = append(all, daemon{"distsuperd " + n.Name, status.Daemon.PID, status.Health.Goroutines})
	}
	for _, n := range s.Machines {
		var status struct {
			Daemon struct{ PID int }
			Health struct{ Goroutines int }
			Keeper struct{ PID, Goroutines int }
		}
		if err := ask(ctx, n, "distsuperagent", &status); err != nil {
			return nil, err
		}
		all = append(all, daemon{"agent " + n.Name, status.Daemon.PID, status.Health.Goroutines},
			daemon{"the keepers", status.Keeper.PID, status.Keeper.Goroutines})
	}
	for _, d := range all {
		if d.pid == 0 {
			return nil, fmt.Errorf("%s does not run", d.name)
		}
	}
	return all, nil
}

func ask(ctx context.Context, n *cluster.Node, program string, status any) error {
	text, err := n.Must(ctx, program, "status", "--json")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), status)
}

// measure reads from /proc.
func measure(d daemon) (s Sample, err error) {
	dir := fmt.Sprintf("/proc/%d/", d.pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return s, fmt.Errorf("%s: %w", d.name, err)
	}
	descriptors, err := os.ReadDir(dir + "fd")
	if err != nil {
		return s, fmt.Errorf("%s: %w", d.name, err)
	}
	s = Sample{Goroutines: d.goroutines, Descriptors: len(descriptors)}
	for line := range bytes.Lines(status) {
		name, value, _ := strings.Cut(string(line), ":")
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "Threads":
			s.Threads = n
		case "RssAnon":
			s.Memory = n
		}
	}
	return s, nil
}

// kill is a crash. A process that is gone already has had one.
func kill(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
