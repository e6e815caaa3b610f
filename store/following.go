package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
)

// Following decides how keys are followed: what is read, from where a watch is opened, what the handler hears, and when everything has
// to be read afresh. Follow is the shell around it. It does no I/O; Step takes what happened, the first time a FollowTick, and returns
// what is to be done.
type Following struct {
	o       FollowOptions
	keys    Span
	now     clock.Instant
	effects []FollowEffect

	phase   followPhase
	then    followPhase   // what a pause is followed by
	at      clock.Instant // when Step wants a tick
	reading uint64        // the read that is under way, 0 for none
	reads   uint64        // that there were
	check   check

	rev     int64  // the handler knows everything up to here
	term    uint64 // highest seen
	cluster uint64 // seen first
	// known has the mod revision of every key that the handler knows; nil without relisting.
	known map[string]int64
	// changed has the keys that changed since the running check began.
	changed map[string]bool
	// reached is the store's revision that the last check saw: by the next one the watch must be there.
	reached   int64
	started   bool // the handler has been reset
	same      bool // nothing is known to have changed since: reset only on a difference
	missed    bool // the watch did not tell everything: what is known is wrong
	told      bool // State has been called
	connected bool
	tries     int // failures since something worked
}

type followPhase int

const (
	pausing   followPhase = iota // before what comes then
	listing                      // everything, to reset the handler to it
	verifying                    // before a watch that was broken off goes on
	watching
)

const (
	defaultRelist = time.Minute
	defaultPage   = 1000
	backoffLeast  = 50 * time.Millisecond
	backoffMost   = 500 * time.Millisecond
)

var (
	// errMissed makes Follow read everything afresh.
	errMissed = errors.New("the watch missed changes")
	// errOld does so, too, and tells the handler only of a difference.
	errOld = errors.New("too old to be compared")
)

// NewFollowing begins to follow. Of the options it heeds Rand, Relist, Page, Since, Log, and whether there is a List.
func NewFollowing(keys Span, o FollowOptions) *Following {
	if o.Relist == 0 {
		o.Relist = defaultRelist
	}
	if o.Page <= 0 {
		o.Page = defaultPage
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	f := &Following{o: o, keys: keys, then: listing}
	if o.Since > 0 {
		f.rev, f.reached, f.started, f.then = o.Since, o.Since, true, watching
	}
	return f
}

// Next is when Step wants a FollowTick.
func (f *Following) Next() clock.Instant { return f.at }

// Step takes one event in, and returns what is to be done because of it, in this order. What it returns is good until the next Step.
func (f *Following) Step(now clock.Instant, e FollowEvent) []FollowEffect {
	clear(f.effects)
	f.now, f.effects = now, f.effects[:0]
	switch e := e.(type) {
	case FollowTick:
		f.due()
	case KeysRead:
		f.answered(e)
	case WatchTold:
		if f.phase == watching && f.apply(e.Result) && f.reading == 0 {
			f.startCheck(check{at: f.rev, doubt: true})
		}
	case WatchEnded:
		if f.phase == watching {
			f.broke(e.Err)
		}
	}
	return f.effects
}

func (f *Following) do(e FollowEffect) { f.effects = append(f.effects, e) }

func (f *Following) due() {
	switch {
	case f.now < f.at:
	case f.phase == pausing:
		f.begin(f.then)
	case f.phase == watching && f.reading == 0:
		f.startCheck(check{at: f.rev})
	}
}

// begin begins a phase but a pause.
func (f *Following) begin(phase followPhase) {
	f.phase, f.at = phase, clock.Never
	switch phase {
	case listing:
		f.read(ReadKeys{Range: Range{Span: f.keys, Limit: f.o.Page}, All: true, Fresh: true})
	case verifying:
		r := ReadKeys{Range: Range{Span: f.keys, Limit: 1, KeysOnly: true}}
		if f.known != nil {
			r.All, r.Range.Limit = true, f.o.Page
		}
		f.read(r)
	case watching:
		f.at = f.nextCheck()
		f.do(OpenWatch{From: f.rev + 1})
	}
}

func (f *Following) read(r ReadKeys) {
	f.reads++
	f.reading, r.id = f.reads, f.reads
	f.do(r)
}

// answered takes in what a read came to, unless nobody waits for it any more.
func (f *Following) answered(e KeysRead) {
	if e.Read.id != f.reading {
		return
	}
	f.reading = 0
	switch f.phase {
	case listing:
		f.listed(e.Result, e.Err)
	case verifying:
		f.verified(e.Result, e.Err)
	case watching:
		again, err := f.compare(e.Result, e.Err)
		if err != nil {
			f.broke(err)
			return
		}
		f.at = again
	}
}

func (f *Following) listed(res RangeResult, err error) {
	if err == nil {
		err = f.checkStore(res)
	}
	if err == nil && !f.missed {
		err = f.checkKeys(res.Entries)
	}
	switch {
	case err == nil:
		f.reset(res.Rev, res.Entries)
		f.begin(watching)
	case isFinal(err):
		f.do(FollowFailed{err})
	default:
		f.pause(err, listing)
	}
}

// verified: before a watch that was broken off goes on, the store is looked at. Meanwhile another one may have taken its place, which
// the handler must not hear of.
func (f *Following) verified(res RangeResult, err error) {
	if err == nil {
		err = f.checkStore(res)
	}
	if err == nil {
		err = f.checkKeys(res.Entries)
	}
	if err != nil {
		f.broke(err)
		return
	}
	f.reached = res.Rev
	f.setConnected(true, nil)
	f.begin(watching)
}

// broke: the watch, or what is to precede it, came to an end.
func (f *Following) broke(err error) {
	if f.phase == watching {
		f.do(CloseWatch{})
		f.reading, f.changed = 0, nil
	}
	switch {
	case errors.Is(err, ErrCompacted), errors.Is(err, errMissed), errors.Is(err, errOld):
		f.same, f.missed = errors.Is(err, errOld), errors.Is(err, errMissed)
		f.o.Log.Debug("reading everything again", zap.Stringer("keys", f.keys), zap.Int64("rev", f.rev), zap.String("reason", err.Error()))
		f.begin(listing)
	case errors.Is(err, ErrPermission):
		// A watch may end so when a login expires; the read that follows tells.
		f.same = false
		f.pause(err, listing)
	case isFinal(err):
		f.do(FollowFailed{err})
	default:
		f.pause(err, verifying)
	}
}

// isFinal tells whether waiting cannot heal an error.
func isFinal(err error) bool {
	return errors.Is(err, ErrPermission) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrBehind)
}

// checkStore refuses a store that went back.
func (f *Following) checkStore(res RangeResult) error {
	at, seen := Mark{Rev: res.Rev, Term: res.Term, Cluster: res.Cluster}, Mark{Rev: f.rev, Term: f.term, Cluster: f.cluster}
	if at.Before(seen) {
		return fmt.Errorf("%w: it is at %v, after %v", ErrBehind, at, seen)
	}
	f.term, f.cluster = at.Term, seen.Raised(at).Cluster
	return nil
}

// checkKeys refuses a store in which a key stands as it was before what the handler knows: it was restored from a snapshot, and its
// revision was raised, so that nothing else tells.
func (f *Following) checkKeys(entries []Entry) error {
	if f.known == nil {
		return nil
	}
	for _, e := range entries {
		if e.ModRev <= f.rev && f.known[e.Key] != e.ModRev {
			return fmt.Errorf("%w: %s stands in it as of revision %d, which was over at revision %d", ErrBehind, e.Key, e.ModRev, f.rev)
		}
	}
	return nil
}

func (f *Following) reset(rev int64, entries []Entry) {
	f.rev, f.reached = rev, rev
	f.setConnected(true, nil)
	if f.started && f.same && f.known != nil && !f.differs(entries, nil) {
		return
	}
	f.started = true
	if f.o.Relist > 0 {
		f.known = make(map[string]int64, len(entries))
		for _, e := range entries {
			f.known[e.Key] = e.ModRev
		}
	}
	f.do(TellReset{Rev: rev, Entries: entries})
}

// pause notes the failure and waits, longer each time, with jitter.
func (f *Following) pause(why error, then followPhase) {
	f.setConnected(false, why)
	d := min(backoffLeast<<min(f.tries, 10), backoffMost)
	f.tries++
	f.phase, f.then, f.at = pausing, then, f.now.Add(f.jitter(d, 0.5))
}

// jitter returns d more or less up to the share of it.
func (f *Following) jitter(d time.Duration, share float64) time.Duration {
	r := rand.Float64
	if f.o.Rand != nil {
		r = f.o.Rand.Float64
	}
	return time.Duration(float64(d) * (1 + share*(2*r()-1)))
}

func (f *Following) setConnected(connected bool, why error) {
	if f.told && f.connected == connected {
		return
	}
	f.told, f.connected = true, connected
	f.do(TellState{Connected: connected, Since: f.now, Why: why})
}
