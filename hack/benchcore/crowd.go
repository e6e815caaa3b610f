package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// crowd measures the start and the stop of many, and the daemons while they do nothing else.
func crowd(ctx context.Context, out io.Writer, o fleet.Options, size int, idle time.Duration) error {
	f, err := fleet.Start(ctx, o)
	if err != nil {
		return err
	}
	defer f.Close()
	empty, err := usages(f)
	if err != nil {
		return err
	}
	p := f.Witness("crowd", "-beat", "1h")
	p.ProcessName, p.Numprocs, p.TouchTimeout, p.StartSecs = "crowd-%(process_num)03d", size, 5, 0
	began := witness.Now()
	if _, err := f.Client.Create(ctx, p); err != nil {
		return err
	}
	if err := fleet.Until(ctx, 5*time.Minute, "all run", f.Where(ctx, size, fleet.Runs)); err != nil {
		return err
	}
	running := witness.Now()
	copies, err := f.Copies()
	if err != nil {
		return err
	}
	last := copies[len(copies)-1].Start
	before, err := settled(ctx, f, idle)
	if err != nil {
		return err
	}
	stopping := witness.Now()
	if _, err := f.Client.Stop(ctx, "crowd"); err != nil {
		return err
	}
	err = fleet.Until(ctx, 5*time.Minute, "all are stopped", f.Where(ctx, size, func(p client.Process) bool {
		return p.State.IsStopped() && p.Touch == nil
	}))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n| %d processes on 3 machines of this host | |\n|---|---|\n", size)
	fmt.Fprintf(out, "| asked for to the last one's first instruction | %s |\n", fleet.Millis(time.Duration(last-began)))
	fmt.Fprintf(out, "| asked for to all known to be RUNNING (startsecs = 0) | %s |\n", fleet.Millis(time.Duration(running-began)))
	fmt.Fprintf(out, "| stop asked for to all known to be STOPPED and released | %s |\n", fleet.Millis(time.Duration(witness.Now()-stopping)))
	fmt.Fprintf(out, "\n| daemon, each (idle for %v) | CPU with %d processes | PSS with none | PSS with %d |\n|---|---|---|---|\n", idle, size, size)
	for _, r := range roles {
		b := before[r]
		fmt.Fprintf(out, "| %s | %.2f %% of a core | %.1f MB | %.1f MB |\n", r, b.cpu, empty[r].pss, b.pss)
	}
	return nil
}

// roles are the daemons, as cluster.Node.PIDs names them.
var roles = []string{"distsuperd run", "distsuperd etcd", "distsuperagent run", "distsuperagent keeper", "distsuperagent guardian"}

// usage is what one process of a role takes on the average.
type usage struct {
	busy time.Duration // on a CPU since its start
	pss  float64       // MB
	cpu  float64       // % of a core, while watched
}

// settled waits until the start is over and then watches the idle daemons for a time.
func settled(ctx context.Context, f *fleet.Fleet, d time.Duration) (map[string]usage, error) {
	if !clock.Sleep(ctx, 5*time.Second) {
		return nil, ctx.Err()
	}
	before, err := usages(f)
	if err != nil {
		return nil, err
	}
	began := witness.Now()
	if !clock.Sleep(ctx, d) {
		return nil, ctx.Err()
	}
	took := time.Duration(witness.Now() - began)
	after, err := usages(f)
	if err != nil {
		return nil, err
	}
	for r, u := range after {
		u.cpu = 100 * float64(u.busy-before[r].busy) / float64(took)
		after[r] = u
	}
	return after, nil
}

// usages are the averages of each role over all its processes.
func usages(f *fleet.Fleet) (map[string]usage, error) {
	all := map[string]usage{}
	for _, role := range roles {
		var sum usage
		n := 0
		for _, node := range append(append([]*cluster.Node{}, f.Controllers...), f.Machines...) {
			for _, pid := range node.PIDs(role) {
				u, err := look(pid)
				if err != nil {
					return nil, err
				}
				sum.busy, sum.pss, n = sum.busy+u.busy, sum.pss+u.pss, n+1
			}
		}
		if n > 0 {
			all[role] = usage{busy: sum.busy / time.Duration(n), pss: sum.pss / float64(n)}
		}
	}
	return all, nil
}

// look reads one process: the run time of all its threads (schedstat, ns) and its share of memory.
func look(pid int) (u usage, err error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	threads, err := filepath.Glob(filepath.Join(proc, "task", "*", "schedstat"))
	if err != nil {
		return u, err
	}
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // a thread that has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return u, fmt.Errorf("read %s: %w", t, err)
		}
		u.busy += time.Duration(ns)
	}
	b, err := os.ReadFile(filepath.Join(proc, "smaps_rollup"))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				return u, fmt.Errorf("read the memory of pid %d: %w", pid, err)
			}
			u.pss = kb / 1024
		}
	}
	return u, nil
}
