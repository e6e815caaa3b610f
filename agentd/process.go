package agentd

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/plan"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

const (
	retryLeast = 100 * time.Millisecond
	retryMost  = time.Second

	// Statuses of one process: reportBurst at once, then one in reportEvery.
	reportBurst = 5
	reportEvery = time.Second
)

// proc is all that is known of one process.
type proc struct {
	id        string
	placement *plan.Placement
	touch     *plan.Touch
	status    *plan.Status
	// broken are keys whose value cannot be read: nothing is decided about the process then.
	broken map[string]bool
	run    *keeper.Run
	memory plan.Memory
	// lease is where the touch stands or is to stand; it counts in that lease's touches.
	lease  int64
	store  slot
	keeper slot
	queued bool // waits to be reported
	alone  bool // its batch failed: its status is written singly, so that no other one's can hold it up
	bucket bucket

	// putting: what is under way in store is the touch of a start; stopping: in keeper a stop.
	putting, stopping bool
	on                way // as order counts it, with its rank
	at                api.Rank
}

func newProc(id string) *proc {
	return &proc{id: id, broken: map[string]bool{}, bucket: bucket{tokens: reportBurst}}
}

func (p *proc) view() plan.ProcessFacts {
	return plan.ProcessFacts{ID: p.id, Placement: p.placement, Touch: p.touch, Status: p.status, Run: p.run,
		Memory: p.memory, Lease: p.lease}
}

// empty: nothing is known that would be missed.
func (p *proc) empty() bool {
	return p.placement == nil && p.touch == nil && p.status == nil && p.run == nil && len(p.broken) == 0 &&
		!p.store.busy && !p.keeper.busy && p.memory.Doubt == nil && !p.memory.LogsGone
}

// slot holds one thing under way at a time, and the pause after a failure.
type slot struct {
	busy  bool
	fails int
	retry clock.Instant
}

// free reports whether something may be begun. If only the pause is in the way, until is its end.
func (s *slot) free(now clock.Instant) (ok bool, until clock.Instant) {
	switch {
	case s.busy:
		return false, clock.Never
	case now < s.retry:
		return false, s.retry
	}
	return true, 0
}

func (s *slot) succeed() { *s = slot{} }

// fail ends what was under way and returns when to try again.
func (s *slot) fail(now clock.Instant) clock.Instant {
	s.busy = false
	s.retry = now.Add(min(retryLeast<<min(s.fails, 10), retryMost))
	s.fails++
	return s.retry
}

// bucket bounds how often something is done.
type bucket struct {
	tokens int
	filled clock.Instant // when the last token was added, or the bucket was full
}

// ready reports whether a token is there, else when one will be.
func (b *bucket) ready(now clock.Instant) (ok bool, at clock.Instant) {
	if b.tokens < reportBurst {
		n := int(now.Sub(b.filled) / reportEvery)
		b.tokens = min(b.tokens+n, reportBurst)
		b.filled = b.filled.Add(time.Duration(n) * reportEvery)
	}
	if b.tokens == reportBurst {
		b.filled = now
	}
	return b.tokens > 0, b.filled.Add(reportEvery)
}

func (b *bucket) spend() { b.tokens-- }
