package sim

import (
	"context"
	"time"

	"github.com/distsuper/distsuper/store"
)

// hold keeps something on its way while it is on.
type hold struct {
	on      int    // by so many
	next    int    // so many more, of those that come next
	key     string // with next: of those about this key; "" is any
	waiting []func()
}

// pass lets something go on, at once or when nobody holds it any more.
func (h *hold) pass(mayBeHeld bool, do func()) {
	if mayBeHeld && h.on+h.next > 0 {
		h.next = max(h.next-1, 0)
		h.waiting = append(h.waiting, do)
		return
	}
	do()
}

// HoldWrites keeps what a controller writes to etcd on its way, as a member does whose proposals nobody takes, or a connection that
// resends. What the controller reads, and the renewals of its leases, get through. When that ends all of it arrives, in its order.
func (c *Controller) HoldWrites() (end func()) {
	c.w.tell(c.ID, "its writes are held up")
	return c.holdWrites()
}

func (n *node) holdWrites() (end func()) {
	n.writes.on++
	return func() {
		if n.writes.on--; n.writes.on == 0 {
			n.releaseWrites()
		}
	}
}

// HoldNextWrite keeps one write on its way. What comes after it overtakes it.
func (c *Controller) HoldNextWrite() (end func()) {
	c.w.tell(c.ID, "its next write is held up")
	c.writes.next++
	return c.releaseWrites
}

// LoseWrites is HoldWrites of which nothing ever arrives.
func (c *Controller) LoseWrites() (end func()) {
	release := c.HoldWrites()
	return func() {
		c.writes.waiting = nil
		release()
	}
}

func (n *node) releaseWrites() {
	waiting := n.writes.waiting
	n.writes.waiting, n.writes.next = nil, 0
	n.w.tell(n.name, "%d writes that were held up get through", len(waiting))
	for i, do := range waiting {
		n.w.After(time.Duration(i)*inOrder, do)
	}
}

// inOrder is between two messages of which the second does not overtake the first.
const inOrder = 2 * time.Millisecond

// HoldWatches keeps the events of those watches on their way that a node has open on a key, as a member does that is slow with them. The
// node opens others when it has heard nothing of them for long.
func (w *World) HoldWatches(n *node, key string) (end func()) {
	var stuck []*stream
	for _, wa := range w.Etcd.watches {
		if wa.n == n && wa.keys.Has(key) {
			wa.stream.stuck++
			stuck = append(stuck, wa.stream)
		}
	}
	w.tell(n.name, "hears nothing of %s", key)
	return func() {
		w.tell(n.name, "hears of %s again", key)
		for _, s := range stuck {
			s.stuck--
		}
	}
}

// Hand changes keys in etcd without any command of ours, as etcdctl does. An etcd without a leader takes nothing.
func (e *Etcd) Hand(what string, ops ...store.Op) {
	if !e.Server.Up() {
		return
	}
	e.w.tell("etcd", "somebody %s by hand", what)
	_, _ = e.kv.Txn(context.Background(), store.Txn{Then: ops})
	e.tick()
}
