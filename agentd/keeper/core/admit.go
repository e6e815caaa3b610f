package core

import (
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/fsm"
)

// Admit says whether a run may begin now; known is true for a run that is there already. Start says the same again.
func (c *Core) Admit(now deadline.Moment, q keeper.StartRequest) (known bool, err error) {
	if c.closing != nil {
		return false, keeper.ErrClosing
	}
	id := q.Process.ID()
	if old := c.byID[id]; old != nil {
		if old.request.Token != q.Token {
			return false, keeper.ErrToken
		}
		return true, nil
	}
	if last, any := c.forgotten[id]; any && q.Token <= last {
		return false, fmt.Errorf("its run under token %d was forgotten: %w", last, keeper.ErrToken)
	}
	if now.Passed(c.leaseFence(q).soft) { // nobody has promised anything about what has not begun
		return false, keeper.ErrDeadline
	}
	return false, nil
}

// Find says whether there is a run: nil, ErrNotFound, or ErrToken for one under another token.
func (c *Core) Find(ref keeper.Ref) error {
	_, err := c.find(ref)
	return err
}

// Alive says whether a copy of a run is alive, to be signalled or written to: nil, ErrNotRunning or what Find says.
func (c *Core) Alive(ref keeper.Ref) error {
	r, err := c.find(ref)
	if err == nil && r.life.Copy != fsm.Alive {
		err = keeper.ErrNotRunning
	}
	return err
}

func (c *Core) find(ref keeper.Ref) (*run, error) {
	r := c.byID[ref.ID]
	if r == nil {
		return nil, keeper.ErrNotFound
	}
	if r.request.Token != ref.Token {
		return nil, keeper.ErrToken
	}
	return r, nil
}

// start takes a run in, unless it is there already.
func (c *Core) start(now deadline.Moment, e Start) error {
	if known, err := c.Admit(now, e.Request); known || err != nil {
		return err
	}
	r := newRun(e)
	c.configure(r, e.Request)
	c.runs = append(c.runs, r)
	c.byID[r.ref().ID] = r
	c.refence(now, r)
	c.advance(now, r, fsm.Event{Kind: fsm.Start})
	if e.Refused != nil {
		c.queue.skip(r.ref().ID)
		why := *e.Refused
		why.Refused = true
		c.noCopy(now, r, why)
	}
	return nil
}

func (c *Core) update(now deadline.Moment, e Update) error {
	r, err := c.find(keeper.Ref{ID: e.Request.Process.ID(), Token: e.Request.Token})
	if err != nil {
		return err
	}
	c.configure(r, e.Request)
	c.advance(now, r, fsm.Event{Kind: fsm.Changed})
	c.refence(now, r)
	return nil
}

// stop ends a run. Who asked on this machine is noted, unless it was over already.
func (c *Core) stop(now deadline.Moment, e Stop) error {
	if r, err := c.find(e.Ref); err == nil && e.By != "" && r.life.Over == fsm.NotOver {
		r.seen.StoppedBy = e.By
	}
	return c.end(now, e.Ref, fsm.Stop)
}

// end ends a run by a stop or a kill.
func (c *Core) end(now deadline.Moment, ref keeper.Ref, how fsm.EventKind) error {
	r, err := c.find(ref)
	if err != nil {
		return err
	}
	c.advance(now, r, fsm.Event{Kind: how})
	return nil
}

func (c *Core) forget(ref keeper.Ref) error {
	r, err := c.find(ref)
	if err != nil {
		return err
	}
	if !r.life.Done() {
		return fmt.Errorf("it is not over: it is %v", r.life.State)
	}
	if r.queued {
		c.queue.drop(r)
	}
	delete(c.byID, ref.ID)
	c.forgotten[ref.ID] = max(c.forgotten[ref.ID], ref.Token)
	at := slices.Index(c.runs, r)
	c.runs = slices.Delete(c.runs, at, at+1)
	c.emit(Forgotten{Ref: ref})
	if r.held != (deadline.Deadline{}) {
		c.tellHolding()
	}
	return nil
}
