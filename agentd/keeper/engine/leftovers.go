package engine

import (
	"path/filepath"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"golang.org/x/sys/unix"
)

// killLeftovers kills what earlier keepers of this boot left behind, and returns when nothing of it is alive.
// A process in uninterruptible sleep holds it up: a new copy must not start beside it.
func killLeftovers(d onDisk, bootID string) {
	instances := map[string]bool{}
	for _, k := range d.Keepers {
		if k.BootID != bootID {
			continue
		}
		instances[k.Instance] = true
		if k.Cgroup != "" {
			killCgroup(filepath.Join(k.Cgroup, "run"))
		}
	}
	if len(instances) > 0 {
		suspects{instances: instances, left: d.leftMarks()}.kill()
	}
	for _, k := range d.Keepers {
		if k.BootID == bootID && k.Cgroup != "" {
			removeCgroups(k.Cgroup) // fails while its guardian still stands in it; the next keeper tries again
		}
	}
}

// suspects are the processes of dead keepers, known by what they carry.
type suspects struct {
	instances map[string]bool
	left      map[mark]bool // not these
	// groups are process groups of a keeper that has just died, and born the latest start of what
	// may belong to them: their numbers are free again once they are empty.
	groups map[int]bool
	born   uint64
}

// kill kills them with everything below them, until two looks in a row find nothing.
func (s suspects) kill() {
	clean := 0
	for wait := time.Millisecond; clean < 2; wait = min(2*wait, 100*time.Millisecond) {
		procs := allProcs()
		below := childrenOf(procs)
		clean++
		for _, p := range procs {
			if s.is(p) {
				clean = 0
				killProc(p)
				killBelow(p.pid, below)
			}
		}
		if clean < 2 {
			time.Sleep(wait)
		}
	}
}

func (s suspects) is(p procInfo) bool {
	if p.start <= s.born && (s.groups[p.group] || s.groups[p.session]) {
		return true
	}
	m := markIn(marks(p.pid))
	return s.instances[m.Keeper] && !s.left[m]
}

// ticksAfter is the unit of procInfo.start: hundredths of a second of CLOCK_BOOTTIME.
func ticksAfter(d time.Duration) uint64 {
	return uint64((time.Duration(clock.Real{}.Now()) + d) / (10 * time.Millisecond))
}

// sendKill sends SIGKILL to what a pidfd stands for.
func sendKill(pidfd int) error { return unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) }
