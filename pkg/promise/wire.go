package promise

import (
	"time"

	"github.com/distsuper/distsuper/pkg/deadline"
)

// Version of what agents and controllers say to one another, and of what both keep. Whoever finds another one grants nothing, and
// holds nothing by it.
const Version = 1

// Name is a run: a process under one token.
type Name struct {
	Process string `json:"process"`
	Token   int64  `json:"token"`
}

// Ask is what an agent asks a controller: to leave these runs alone when their touch has expired.
type Ask struct {
	Version    int    `json:"v"`
	Controller string `json:"controller"` // that is asked
	Machine    string `json:"machine"`    // that asks
	Number     uint64 `json:"number"`     // of the ask; the agent knows when it sent it
	Set        int64  `json:"set"`        // revision at which the agent read which controllers there are
	Names      []Name `json:"names"`
	// Uncontained: what these runs started is not held by a cgroup, so that killing all of it may take until after the deadline.
	Uncontained bool `json:"uncontained,omitempty"`
	// Farewell: a promise that is longer than others ends when etcd has come back, see Returns.
	Farewell bool `json:"farewell,omitempty"`
}

// Answer answers an Ask. Without a promise Reason says why there is none.
type Answer struct {
	Version    int    `json:"v"`
	Controller string `json:"controller"`
	Number     uint64 `json:"number"`
	Millis     int64  `json:"ms,omitempty"`   // how long it promises, from the receipt of the ask; 0: it does not
	Term       uint64 `json:"term,omitempty"` // of etcd, with a promise that is longer than others: see Returns
	Reason     string `json:"reason,omitempty"`
}

// Promised is how long the controller promises, 0 when it does not.
func (a Answer) Promised() time.Duration { return time.Duration(a.Millis) * time.Millisecond }

// Controller is a registered distsuperd, as an agent read it.
type Controller struct {
	ID          string `json:"id"`
	Host        string `json:"host,omitempty"`
	Address     string `json:"address,omitempty"` // where its HTTPS is
	Fingerprint string `json:"fingerprint,omitempty"`
	MaxHold     int64  `json:"max_hold,omitempty"` // seconds, 0 for DefaultMaxHold
	// Leaving is not 0 when it is about to leave for a while, and gives a long promise to whoever asks now: the Term of that.
	Leaving uint64 `json:"leaving_term,omitempty"`
}

// Set is all controllers that were registered at one revision of etcd.
type Set struct {
	Revision    int64           `json:"revision"`
	Read        deadline.Moment `json:"read"` // at or before the sending of the read
	Controllers []Controller    `json:"controllers"`
}

// Limit is until when anything is held at most that is held by this set, a margin taken off.
func (s Set) Limit() deadline.Deadline {
	return s.Read.Plus(s.MaxHold() - deadline.Margin(TTL))
}

// MaxHold is how long the set counts: what its controllers agree on, the least that one of them says.
func (s Set) MaxHold() time.Duration {
	least := DefaultMaxHold
	for i, c := range s.Controllers {
		own := DefaultMaxHold
		if c.MaxHold > 0 {
			own = time.Duration(c.MaxHold) * time.Second
		}
		if i == 0 || own < least {
			least = own
		}
	}
	return least
}
