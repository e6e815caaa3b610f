package contain

import (
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/procfs"
)

// KillLeftovers kills what earlier keepers of this directory and this boot left behind, and returns when nothing of it is alive.
// A process in uninterruptible sleep holds it up: a new copy must not start beside it. Nobody else's processes are touched: those of the
// directory that this one was copied from may live here, too.
func KillLeftovers(d State, host api.HostIdentity) {
	instances := map[string]bool{}
	for _, k := range d.Keepers {
		if !host.SameLife(k.Host) {
			continue
		}
		instances[k.Instance] = true
		if k.Cgroup != "" {
			KillRuns(k.Cgroup)
		}
	}
	if len(instances) > 0 {
		Suspects{Instances: instances, Spared: d.LeftMarks()}.Kill()
	}
	for _, k := range d.Keepers {
		if host.SameLife(k.Host) && k.Cgroup != "" {
			RemoveCgroups(k.Cgroup) // fails while its guardian still stands in it; the next keeper tries again
		}
	}
}

// Suspects are the processes of dead keepers, known by what they carry.
type Suspects struct {
	Instances map[string]bool // of their keepers
	Spared    map[Mark]bool   // not these
	// Groups are process groups of a keeper that has just died, and Born the latest start, in procfs.Ticks, of what
	// may belong to them: their numbers are free again once they are empty.
	Groups map[int]bool
	Born   uint64
}

// Kill kills them with everything below them, until two looks in a row find nothing.
func (s Suspects) Kill() {
	clean := 0
	for wait := time.Millisecond; clean < 2; wait = min(2*wait, 100*time.Millisecond) {
		procs := procfs.All()
		below := procfs.ByParent(procs)
		clean++
		for _, p := range procs {
			if s.include(p) {
				clean = 0
				procfs.Kill(p)
				procfs.KillBelow(p.PID, below)
			}
		}
		if clean < 2 {
			time.Sleep(wait)
		}
	}
}

func (s Suspects) include(p procfs.Stat) bool {
	if p.Start <= s.Born && (s.Groups[p.Group] || s.Groups[p.Session]) {
		return true
	}
	m := MarkOf(p.PID)
	return s.Instances[m.Keeper] && !s.Spared[m]
}
