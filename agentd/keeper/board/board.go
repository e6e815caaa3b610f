// Package board shows how each run of a keeper is now, to whoever asks what has changed since they last looked.
//
// It tells what is so, not how it came to be: of two changes between two looks only the second shows. What happened in between
// is in package journal.
package board

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/distsuper/distsuper/agentd/keeper"
)

// maxForgot bounds the list of forgotten runs; an agent that was away for longer asks from the start.
const maxForgot = 10000

// A Board shows the runs and leases of one keeper. Its methods may be called from any goroutine and, but for Since, wait for nobody.
type Board struct {
	instance string

	mu      sync.Mutex // guards what follows
	seq     uint64
	runs    map[string]keeper.Run
	forgot  []forgotten
	leases  []keeper.Lease
	holding keeper.Holding
	changed chan struct{} // closed and replaced with every change
}

type forgotten struct {
	seq uint64
	ref keeper.Ref
}

// New makes an empty board of the keeper with this instance. It begins at one: to have seen nothing is 0.
func New(instance string) *Board {
	return &Board{instance: instance, seq: 1, runs: map[string]keeper.Run{}, changed: make(chan struct{})}
}

// Put shows runs as they are now, in the order in which they changed.
func (b *Board) Put(runs ...keeper.Run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range runs {
		b.seq++
		r.Seq = b.seq
		b.runs[r.ID] = r
	}
	b.tellLocked()
}

// Remove takes a forgotten run off.
func (b *Board) Remove(ref keeper.Ref) {
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

// SetLeases shows leases. A renewal wakes nobody: it is the agent's own.
func (b *Board) SetLeases(leases []keeper.Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leases = leases
}

// SetHolding shows which runs are held. It wakes nobody: the agent told the keeper.
func (b *Board) SetHolding(h keeper.Holding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holding = h
}

func (b *Board) tellLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Since returns what changed after seq, and waits for that; all at once for 0 and for a seq that is not of
// this board.
func (b *Board) Since(ctx context.Context, seq uint64) (keeper.Snapshot, error) {
	for {
		s, news, changed := b.look(seq)
		if news {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return keeper.Snapshot{Instance: b.instance}, ctx.Err()
		}
	}
}

// Look returns what Since would; news is false where that would wait.
func (b *Board) Look(seq uint64) (s keeper.Snapshot, news bool) {
	s, news, _ = b.look(seq)
	return s, news
}

// look returns what changed, or the channel to wait for when nothing did.
func (b *Board) look(seq uint64) (s keeper.Snapshot, news bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq == b.seq {
		return s, false, b.changed
	}
	if seq > b.seq {
		seq = 0
	}
	s = keeper.Snapshot{Instance: b.instance, Seq: b.seq, Runs: []keeper.Run{}, Leases: slices.Clone(b.leases), Holding: b.holding}
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
	return s, true, nil
}

// State is a board as it is handed to the next binary of a keeper that is replaced in place, so that whoever has looked goes on from there.
type State struct {
	Seq    uint64         `json:"seq"`
	Runs   []keeper.Run   `json:"runs,omitempty"`
	Forgot []ForgotState  `json:"forgot,omitempty"`
	Leases []keeper.Lease `json:"leases,omitempty"`
	// Holding is what SetHolding has shown last.
	Holding keeper.Holding `json:"holding,omitzero"`
}

// ForgotState is one run that was taken off.
type ForgotState struct {
	Seq uint64     `json:"seq"`
	Ref keeper.Ref `json:"ref"`
}

// Export returns what the board shows.
func (b *Board) Export() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := State{Seq: b.seq, Leases: b.leases, Holding: b.holding}
	for _, r := range b.runs {
		s.Runs = append(s.Runs, r)
	}
	slices.SortFunc(s.Runs, func(x, y keeper.Run) int { return cmp.Compare(x.Seq, y.Seq) })
	for _, f := range b.forgot {
		s.Forgot = append(s.Forgot, ForgotState{f.seq, f.ref})
	}
	return s
}

// Import makes a board that goes on with what another has shown.
func Import(instance string, s State) *Board {
	b := New(instance)
	b.seq, b.leases, b.holding = s.Seq, s.Leases, s.Holding
	for _, r := range s.Runs {
		b.runs[r.ID] = r
	}
	for _, f := range s.Forgot {
		b.forgot = append(b.forgot, forgotten{f.Seq, f.Ref})
	}
	return b
}
