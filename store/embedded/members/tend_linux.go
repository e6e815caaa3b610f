package members

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store/embedded"
)

const (
	// tendEvery is how often the members are looked at.
	tendEvery = time.Second
	// noteEvery is the least time between two notes of how far this member is, and noteAfter how much has to change for one: a note is
	// a change, too, and so are those of the others.
	noteEvery = 30 * time.Second
	noteAfter = 16
	// behind is by how much a learner that has caught up may be behind, while everybody writes.
	behind = 1000
)

// Tend looks after the members while this host's etcd runs: it remembers who they are, gives learners their votes, notes how far this
// member is, and tells what is wrong, "" for nothing, and when there are other members. It returns when ctx ends.
func (h *Host) Tend(ctx context.Context, tell func(string), changed func()) {
	h.changed = changed
	said, noted := "", time.Time{}
	h.client = NewClient(h.config(nil), h.Keys)
	defer h.client.Close()
	for {
		problem, last := h.tend(ctx, noted)
		noted = last
		if problem != said && ctx.Err() == nil {
			if problem != "" {
				h.Log.Warn(problem)
			} else {
				h.Log.Info("etcd's members are in order again")
			}
			tell(problem)
			said = problem
		}
		if h.promoted { // who votes is worth knowing at once
			h.promoted = false
			continue
		}
		if !clock.Sleep(ctx, tendEvery) {
			return
		}
	}
}

func (h *Host) tend(ctx context.Context, noted time.Time) (problem string, _ time.Time) {
	socket := "unix://" + h.dir.Socket()
	remembered, err := h.dir.Membership()
	if err != nil {
		return err.Error(), noted
	}
	c := h.client
	c.cfg.Endpoints = append([]string{socket}, embedded.Endpoints(remembered.Others())...)
	own, err := c.Status(ctx, socket)
	if err != nil {
		return "", noted // Keep tells why it does not run
	}
	members, cluster, err := c.List(ctx, socket, false)
	if err != nil {
		return "", noted
	}
	if len(members) == 1 && remembered.ID == "" {
		return "", noted // it is alone, and always was
	}
	states := c.States(ctx, members)
	lost := Lost(members, states.Answers)
	if remembered.GoAlone && lost != "" { // it is about to end; with a majority again, that is void
		return lost, noted
	}
	now := embedded.Membership{ID: own.ID, Cluster: cluster, Members: members, Alone: remembered.Alone}
	if err := h.dir.Remember(now); err != nil {
		return err.Error(), noted
	}
	if !slices.Equal(now.Members, remembered.Members) {
		h.changed()
	}
	if lost != "" {
		if err := h.recheck(ctx, now); err != nil {
			h.Log.Debug("the other members cannot be asked", zap.Error(err))
		}
		return lost, noted
	}
	h.promote(ctx, c, members, states)
	if noted.IsZero() {
		if err := h.recheck(ctx, now); err != nil {
			return err.Error(), noted
		}
	}
	if first := noted.IsZero(); first || time.Since(noted) > noteEvery && own.Index > h.noted+noteAfter {
		if err := h.note(ctx, c, own.ID); err != nil {
			h.Log.Debug("it cannot be noted how far this member of etcd is", zap.Error(err))
		} else {
			noted, h.noted = time.Now(), own.Index
		}
	}
	return "", noted
}

// promote gives votes to those that have caught up, two at a time.
func (h *Host) promote(ctx context.Context, c *Client, members []embedded.Peer, states States) {
	most := uint64(0)
	for _, s := range states {
		most = max(most, s.Applied)
	}
	ready := func(p embedded.Peer) bool { s, up := states[p.ID]; return up && s.Applied+behind > most }
	for id := Promote(members, ready); id != ""; id = Promote(members, ready) {
		if err := c.promote(ctx, id); err != nil {
			h.Log.Debug("a member of etcd has no vote yet; trying again", zap.String("member", id), zap.Error(err))
			return
		}
		h.promoted = true
		h.Log.Info("a member of etcd has a vote now", zap.String("member", id))
		for i := range members {
			members[i].Learner = members[i].Learner && members[i].ID != id
		}
	}
}
