package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/distsuper/distsuper/agentd/keeper"
)

// maxForgot bounds the list of forgotten runs; an agent that was away for longer asks from the start.
const maxForgot = 10000

// board is what the loop publishes for other goroutines.
type board struct {
	mu      sync.Mutex // guards what follows
	seq     uint64
	runs    map[string]keeper.Run
	forgot  []forgotten
	leases  []keeper.Lease
	changed chan struct{} // closed and replaced with every change
}

type forgotten struct {
	seq uint64
	ref keeper.Ref
}

// newBoard begins at one: to have seen nothing is 0.
func newBoard() *board {
	return &board{seq: 1, runs: map[string]keeper.Run{}, changed: make(chan struct{})}
}

// put publishes the state of runs.
func (b *board) put(runs []keeper.Run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range runs {
		b.seq++
		r.Seq = b.seq
		b.runs[r.ID] = r
	}
	b.tellLocked()
}

// remove takes a forgotten run off.
func (b *board) remove(ref keeper.Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	delete(b.runs, ref.ID)
	b.forgot = append(b.forgot, forgotten{b.seq, ref})
	if len(b.forgot) > maxForgot {
		b.forgot = slices.Clone(b.forgot[len(b.forgot)-maxForgot/2:])
	}
	b.tellLocked()
}

// setLeases publishes leases. A renewal wakes nobody: it is the agent's own.
func (b *board) setLeases(leases []keeper.Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leases = leases
}

func (b *board) tellLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// since returns what changed after seq, and waits for that; all at once for 0 and for a seq that is not of
// this board.
func (b *board) since(ctx context.Context, seq uint64) (keeper.Snapshot, error) {
	for {
		snapshot, changed := b.look(seq)
		if snapshot != nil {
			return *snapshot, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return keeper.Snapshot{}, ctx.Err()
		}
	}
}

// look returns a snapshot, or the channel to wait for when nothing changed.
func (b *board) look(seq uint64) (*keeper.Snapshot, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq == b.seq {
		return nil, b.changed
	}
	if seq > b.seq {
		seq = 0
	}
	s := &keeper.Snapshot{Seq: b.seq, Runs: []keeper.Run{}, Leases: slices.Clone(b.leases)}
	for _, r := range b.runs {
		if r.Seq > seq {
			s.Runs = append(s.Runs, r)
		}
	}
	slices.SortFunc(s.Runs, func(x, y keeper.Run) int { return cmp.Compare(x.Seq, y.Seq) })
	for _, f := range b.forgot {
		if f.seq > seq && seq > 0 {
			s.Forgot = append(s.Forgot, f.ref)
		}
	}
	return s, nil
}
