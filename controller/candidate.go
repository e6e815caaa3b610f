package controller

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

const (
	leaveLimit = time.Second // for the resignation
	// announceAgain is the pause after an announcement that got no answer.
	announceAgain = 50 * time.Millisecond
)

// Candidate stands for election whenever its controller is registered, and announces and gives up its leaderships. Its methods wait for
// answers; all of it must be set but Standing.
type Candidate struct {
	ID   string
	Keys store.Keys
	KV   store.KV
	TTL  int // of its session, in seconds
	// Standing is how the controller is registered; nil for one that registers nowhere. Changed waits until that may be another.
	Standing func() member.Standing
	Changed  func(ctx context.Context)
	// Tell hears of Elected and Deposed.
	Tell func(ctx context.Context, e Event)
	// Reign waits until a leadership is lost (true), is to be given up, or ctx ends.
	Reign func(ctx context.Context, lead store.Leadership) (lost bool)
	// Pause waits for so long, or until ctx ends.
	Pause func(ctx context.Context, d time.Duration)
	Wall  func() time.Time
	Log   *zap.Logger
}

// Run leads whenever it can, until ctx ends; then it resigns.
func (c Candidate) Run(ctx context.Context) {
	for c.stands(ctx) {
		lead, err := c.KV.Campaign(ctx, c.Keys.Election(), c.ID, c.TTL)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, store.ErrBehind) {
				c.Log.Warn("campaign failed; trying again", zap.Error(err))
			}
			c.Pause(ctx, askAgain)
			continue
		}
		if elected, ok := c.announce(ctx, lead); ok {
			c.Tell(ctx, elected)
			if c.Reign(ctx, lead) {
				c.Tell(ctx, Deposed{Rev: lead.Rev})
			}
		}
		// Whatever ended it, the session ends, too: the next leader need not wait for its lease.
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
		if err := lead.Resign(leave); err != nil {
			c.Log.Warn("resignation got no answer; the session ends by itself", zap.Error(err))
		}
		cancel()
	}
}

// stands waits until this controller is registered. It is false when ctx ends before that, or another life has taken its place.
func (c Candidate) stands(ctx context.Context) bool {
	for c.Standing != nil && ctx.Err() == nil {
		now := c.Standing()
		if now.Entry != 0 {
			break
		}
		if now.Over {
			return false
		}
		c.Changed(ctx)
	}
	return ctx.Err() == nil
}

// announce writes who leads, until an answer comes; it is false when the leadership is lost.
func (c Candidate) announce(ctx context.Context, lead store.Leadership) (elected Elected, ok bool) {
	since := c.Wall()
	for ctx.Err() == nil {
		entry := int64(0)
		if c.Standing != nil {
			if entry = c.Standing().Entry; entry == 0 {
				return Elected{}, false
			}
		}
		res, err := c.KV.Txn(ctx, announcement(c.Keys, c.ID, since, lead, entry))
		if elected, done, lost := announced(lead, res, err); done || lost {
			return elected, done
		}
		select {
		case <-lead.Lost:
			return Elected{}, false
		default:
		}
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("the leadership could not be announced; trying again", zap.Error(err))
		}
		c.Pause(ctx, announceAgain)
	}
	return Elected{}, false
}

// announcement is what a leader writes before anything else. The watch of the state does not see the election, but it does see this:
// once it has come so far, it has everything that was written before. While a store that went back is being accepted nobody leads.
// entry is the revision of this controller's own one, 0 for one that does not register.
func announcement(keys store.Keys, id string, since time.Time, lead store.Leadership, entry int64) store.Txn {
	put := store.Put(keys.Leader(), store.Encode(api.Leader{ID: id, Since: since}))
	t := store.Txn{If: []store.Cmp{lead.Guard(), store.Absent(keys.Restoring())},
		Then: []store.Op{put, store.Get(keys.Schema())}, Else: []store.Op{store.Get(lead.Key)}}
	if entry != 0 {
		t.If = append(t.If, store.Unchanged(keys.Controller(id), entry))
	}
	return t
}

// announced takes the answer to an announcement in: done with what it makes of this replica, with the floor of tokens as the schema has it
// (it changes only while nobody leads), or lost; neither is to be tried again.
func announced(lead store.Leadership, res store.TxnResult, err error) (elected Elected, done, lost bool) {
	switch {
	case err == nil && res.Succeeded:
		return Elected{Leadership: lead, Announced: res.Rev, Floor: floorOf(res.Got[1])}, true, false
	case err == nil && (res.Got[0] == nil || res.Got[0].CreateRev != lead.Rev):
		return Elected{}, false, true
	}
	return Elected{}, false, false
}

// floorOf is the floor of tokens that a schema tells, 0 without one.
func floorOf(schema *store.Entry) int64 {
	if schema == nil {
		return 0
	}
	s, err := store.Decode[api.Schema](*schema)
	if err != nil {
		return 0 // whoever opened the store has read it
	}
	return s.Floor
}
