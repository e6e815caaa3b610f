package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/fulldisk"
)

// fullDisk fills the disk on which a machine keeps its state and its AUTO logs.
func fullDisk(ctx context.Context, s *stage) error {
	f, err := s.fleet(ctx, 1)
	if err != nil {
		return err
	}
	defer f.Close()
	m2, err := f.Machine("m2")
	if err != nil {
		return err
	}
	d := fulldisk.Disk{Dir: filepath.Join(m2.Dir, ".distsuper"), Size: diskSize}
	if err := d.Mount(); err != nil {
		return err
	}
	defer d.Unmount()
	defer f.Close() // before that, nothing of it runs any more
	if _, err := m2.Must(ctx, "distsuperagent", "start"); err != nil {
		return err
	}
	programs := []api.Program{f.Witness("web"), f.Witness("other"), client.Program("chatty", "")}
	programs[2].Command, programs[2].Shell = "n=0; while :; do n=$((n+1)); echo $n; [ $((n %% 100)) != 0 ] || sleep 0.01; done", true
	for _, p := range programs {
		p.Machines, p.TouchTimeout, p.Autostart = []string{"m2"}, 5, true
		if _, err := f.Client.Create(ctx, p); err != nil {
			return err
		}
	}
	if err := fleet.Until(ctx, patience, "all run", f.Where(ctx, 3, fleet.Runs)); err != nil {
		return err
	}
	if err := s.filled(ctx, f, m2, d); err != nil {
		return err
	}
	if err := s.used(ctx, f, m2, d); err != nil {
		return err
	}
	if err := s.freed(ctx, f, d); err != nil {
		return err
	}
	return s.once(f)
}

// filled looks at a machine with a full disk.
func (s *stage) filled(ctx context.Context, f *fleet.Fleet, m2 *cluster.Node, d fulldisk.Disk) error {
	if err := d.Fill(); err != nil {
		return err
	}
	err := fleet.Until(ctx, patience, "the output of chatty is held up", func() (bool, string) {
		p, err := process(ctx, f, "chatty")
		return err == nil && p.Status != nil && !p.Status.OutputHeldSince.IsZero(), fleet.Describe(p)
	})
	said := strings.TrimSpace(m2.Run(ctx, "distsuperctl", "status", "chatty").Stdout)
	s.found("output is held up there, and status says so", err == nil && strings.Contains(said, "held"), "%s", orElse(err, said))
	_, err = f.Client.StopProcess(ctx, "other")
	if err == nil {
		err = fleet.Until(ctx, patience, "it is stopped", func() (bool, string) {
			p, err := process(ctx, f, "other")
			return err == nil && p.State.IsStopped() && p.Touch == nil, fleet.Describe(p)
		})
	}
	s.found("a process can be stopped there", err == nil, "%s", orElse(err, "it was, and is released"))
	_, err = f.Client.StartProcess(ctx, "other")
	if err == nil {
		err = fleet.Until(ctx, patience, "all run", f.Where(ctx, 3, fleet.Runs))
	}
	s.found("and started", err == nil, "%s", orElse(err, "it runs, and so do the others"))
	before := m2.PIDs("distsuperagent")
	_, err = m2.Must(ctx, "distsuperagent", "restart")
	s.found("the agent restarts with the reserve", err == nil, "%s; pids %v, then %v", orElse(err, "it did"), before, m2.PIDs("distsuperagent"))
	return nil
}

// used looks at it when somebody has taken the reserve, too.
func (s *stage) used(ctx context.Context, f *fleet.Fleet, m2 *cluster.Node, d fulldisk.Disk) error {
	if err := errors.Join(os.Truncate(filepath.Join(d.Dir, "reserve"), 0), d.Fill()); err != nil {
		return err
	}
	before := m2.PIDs("distsuperagent run")
	r := m2.Run(ctx, "distsuperagent", "restart")
	after := m2.PIDs("distsuperagent run")
	s.found("without a reserve, restart fails with the reason and the agent goes on", r.Code != 0 && strings.Contains(r.Stderr, "no space left") &&
		len(before) == 1 && fmt.Sprint(before) == fmt.Sprint(after), "exit %d, %s pids %v, then %v", r.Code, r.Stdout+r.Stderr, before, after)
	err := fleet.Until(ctx, patience, "all run", f.Where(ctx, 3, fleet.Runs))
	if err != nil {
		return err
	}
	p, err := process(ctx, f, "web")
	if err != nil {
		return err
	}
	pause(ctx, 10*time.Second) // twice its touch_timeout
	again, err := process(ctx, f, "web")
	held := err == nil && fleet.Runs(again) && again.Status.PID == p.Status.PID && again.Status.Starts == 1
	s.found("leases are renewed: nothing is fenced", held, "%s, pid %d, then %d", fleet.Describe(again), p.Status.PID, again.Status.PID)
	return nil
}

// freed looks at it when there is room again.
func (s *stage) freed(ctx context.Context, f *fleet.Fleet, d fulldisk.Disk) error {
	log := filepath.Join(d.Dir, "logs", "chatty-stdout.log")
	size := func() (int64, int64) {
		info, err := os.Stat(log)
		if err != nil {
			return 0, 0
		}
		return info.Size(), info.ModTime().UnixNano()
	}
	held, since := size()
	if err := d.Free(); err != nil {
		return err
	}
	waited := time.Duration(time.Now().UnixNano() - since).Round(time.Second)
	err := fleet.Until(ctx, patience, "the log grows", func() (bool, string) { now, _ := size(); return now > held, fmt.Sprint(now) })
	s.found("output is held up, and goes on when there is room", err == nil && waited >= 10*time.Second, "%s", orElse(err, fmt.Sprintf("nothing was written for %v", waited)))
	if _, err := f.Client.StopProcess(ctx, "chatty"); err != nil {
		return err
	}
	err = fleet.Until(ctx, patience, "it is stopped", func() (bool, string) {
		p, err := process(ctx, f, "chatty")
		return err == nil && p.State.IsStopped() && p.Touch == nil, fleet.Describe(p)
	})
	if err != nil {
		return err
	}
	n, err := unbroken(log)
	s.found("and no line is lost", err == nil, "%s", orElse(err, fmt.Sprintf("%d lines, none missing", n)))
	var total int64
	files, err := filepath.Glob(filepath.Join(d.Dir, "logs", "*"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			total += info.Size()
		}
	}
	s.found("AUTO logs take a tenth of the disk at most", err == nil && total <= diskSize/10, "%d KB of %d", total>>10, int64(diskSize)>>10)
	return nil
}

// process is one process of the fleet.
func process(ctx context.Context, f *fleet.Fleet, name string) (client.Process, error) {
	snap, err := f.Client.Snapshot(ctx)
	if err != nil {
		return client.Process{}, err
	}
	for _, p := range snap.Processes() {
		if p.Name == name {
			return p, nil
		}
	}
	return client.Process{}, fmt.Errorf("there is no process %s", name)
}

// unbroken counts the lines of a log and of its older files, which are numbers without a gap.
func unbroken(log string) (int, error) {
	files, err := filepath.Glob(log + ".*")
	if err != nil {
		return 0, err
	}
	next := 0
	for i := len(files); i >= 0; i-- {
		name := log
		if i > 0 {
			name = fmt.Sprintf("%s.%d", log, i)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return next, err
		}
		for _, line := range strings.Fields(string(text)) {
			if want := fmt.Sprint(next + 1); next > 0 && line != want {
				return next, fmt.Errorf("%s: after %d comes %s", name, next, line)
			}
			if _, err := fmt.Sscan(line, &next); err != nil {
				return next, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return next, nil
}

// pause lets time pass, which is what is tried.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// diskSize is enough for a reserve and little more.
const diskSize = 32 << 20
