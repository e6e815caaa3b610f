package keepertest

import (
	"cmp"
	"slices"

	"github.com/distsuper/distsuper/agentd/keeper"
)

type forgotten struct {
	seq uint64
	ref keeper.Ref
}

// putLocked takes in how a run is now.
func (f *Fake) putLocked(r keeper.Run) {
	f.seq++
	r.Seq = f.seq
	f.runs[r.ID] = r
	f.changedLocked()
}

// dropLocked takes a forgotten run out.
func (f *Fake) dropLocked(ref keeper.Ref) {
	f.seq++
	delete(f.runs, ref.ID)
	delete(f.env, ref.ID)
	f.forgot = append(f.forgot, forgotten{f.seq, ref})
	f.changedLocked()
}

// changedLocked wakes those who wait for a change.
func (f *Fake) changedLocked() {
	if f.changed != nil {
		close(f.changed)
	}
	f.changed = make(chan struct{})
}

func (f *Fake) snapshotLocked(since uint64) keeper.Snapshot {
	if since > f.seq {
		since = 0
	}
	s := keeper.Snapshot{Instance: f.instance, Seq: f.seq, Leases: f.leasesLocked()}
	for _, r := range f.runs {
		if r.Seq > since {
			s.Runs = append(s.Runs, clone(r))
		}
	}
	slices.SortFunc(s.Runs, func(a, b keeper.Run) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, g := range f.forgot {
		if since > 0 && g.seq > since {
			s.Forgot = append(s.Forgot, g.ref)
		}
	}
	return s
}

// leasesLocked returns the leases by number.
func (f *Fake) leasesLocked() []keeper.Lease {
	return slices.SortedFunc(slices.Values(f.leases), func(a, b keeper.Lease) int { return cmp.Compare(a.ID, b.ID) })
}

func clone(r keeper.Run) keeper.Run {
	r.Leases = slices.Clone(r.Leases)
	if r.Exit != nil {
		exit := *r.Exit
		r.Exit = &exit
	}
	return r
}
