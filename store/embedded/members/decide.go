package members

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/store/embedded"
)

// Own is what a member knows of itself before it starts.
type Own struct {
	Name string
	Peer string // its address for members
	Data bool   // there is some
	Seq  int64  // in the data
	embedded.Membership
}

// Answer is what another member says.
type Answer struct {
	Cluster string
	// Members are all, nil when it cannot know without a majority.
	Members []embedded.Peer
	Record  Record // of the member that asks
}

// Record is what etcd holds of a member.
type Record struct {
	Seq int64 `json:"seq"`
	// Replaced: an administrator lets the host join again as another member.
	Replaced bool `json:"replaced,omitempty"`
}

// Verdict says how a member may start.
type Verdict int

const (
	Start    Verdict = iota // with its data, or as the first of all
	Join                    // as a new member
	JoinAnew                // as a new member, after its data was put aside
)

// Refusal is why a member may not start.
type Refusal struct{ Why, Member string }

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s; this host's etcd stays down, since it could make etcd forget what it has acknowledged. "+
		"Run \"distsuperctl members replace %s\" once, on any host: then this one joins again as a new member", r.Why, r.Member)
}

// Admit says how a member may start, after what the others answered. joins: it is to join others, and none of its own.
func Admit(own Own, joins bool, answers []Answer) (Verdict, error) {
	if !own.Data {
		return admitEmpty(own, joins, answers)
	}
	if own.ID == "" { // it has always been alone
		return Start, nil
	}
	for _, a := range answers {
		switch {
		case a.Record.Replaced && a.Members != nil && !has(a.Members, own.ID): // else a replacement was interrupted before it was removed
			return JoinAnew, nil
		case a.Cluster != own.Cluster:
			return Start, &Refusal{fmt.Sprintf("the others are another etcd by now (cluster %s, and this was %s)", a.Cluster, own.Cluster), own.ID}
		case a.Members != nil && !has(a.Members, own.ID):
			return Start, &Refusal{"this host's etcd was removed from the members", own.ID}
		case a.Record.Seq > own.Seq:
			return Start, &Refusal{fmt.Sprintf("this host's etcd has old data: it has come to %d, and the others have seen %d; it was restored from a copy",
				own.Seq, a.Record.Seq), own.ID}
		}
	}
	return Start, nil
}

func admitEmpty(own Own, joins bool, answers []Answer) (Verdict, error) {
	if !joins {
		return Start, nil
	}
	known := false
	for _, a := range answers {
		known = known || a.Members != nil
		i := slices.IndexFunc(a.Members, func(p embedded.Peer) bool { return p.Peer == own.Peer && !p.Learner })
		if i >= 0 {
			return Start, &Refusal{"the data of this host's etcd is gone, and it had a vote", a.Members[i].ID}
		}
	}
	if !known {
		return Start, errors.New("this host's etcd has to join the others, and they do not answer, or have no majority; if it has lost their certificates with its state, " +
			"start it with the file that distsuperctl init config --join --voter ADDRESS prints on one of them")
	}
	return Join, nil
}

func has(members []embedded.Peer, id string) bool {
	return slices.ContainsFunc(members, func(p embedded.Peer) bool { return p.ID == id })
}

// Promote says which learner gets a vote next, "" for none. ready tells of a learner that it has caught up. Whoever asks
// names the same one.
func Promote(members []embedded.Peer, ready func(embedded.Peer) bool) string {
	voters, learners := 0, []string{}
	for _, m := range members {
		switch {
		case !m.Learner:
			voters++
		case ready(m):
			learners = append(learners, m.ID)
		}
	}
	if need := 1 + voters%2; len(learners) < need {
		return ""
	}
	return slices.Min(learners)
}

// Majority says how many votes are needed.
func Majority(members []embedded.Peer) (need, voters int) {
	for _, m := range members {
		if !m.Learner {
			voters++
		}
	}
	return voters/2 + 1, voters
}

// MayRemove says why a member cannot be taken out while only those members answer, "" if it can. etcd refuses the same, in other words.
func MayRemove(members []embedded.Peer, answers func(embedded.Peer) bool, id string) string {
	left, up, down := []embedded.Peer{}, 0, []string{}
	for _, m := range members {
		switch {
		case m.ID == id && m.Learner:
			return ""
		case m.ID == id || m.Learner:
			continue
		case answers(m):
			up++
		default:
			down = append(down, Named(m))
		}
		left = append(left, m)
	}
	need, voters := Majority(left)
	switch {
	case voters == 0:
		return "it alone has a vote, and etcd would end with it"
	case up < need:
		return fmt.Sprintf("%d of the %d others with a vote answer, and etcd would need %d; start the others first: %s", up, voters, need, strings.Join(down, ", "))
	}
	return ""
}

// Lost says what it means that only those members answer, and what to do; "" while there is a majority.
func Lost(members []embedded.Peer, answers func(embedded.Peer) bool) string {
	need, voters := Majority(members)
	up, down := 0, []string{}
	for _, m := range members {
		switch {
		case m.Learner:
		case answers(m):
			up++
		default:
			down = append(down, Named(m))
		}
	}
	if up >= need {
		return ""
	}
	return fmt.Sprintf("etcd has no majority: %d of %d members answer, and it needs %d. Start those that do not: %s. "+
		"If they are lost for good, run \"distsuperctl members recover\" on the host of one that is left", up, voters, need, strings.Join(down, ", "))
}

// Named is how people are told of a member.
func Named(p embedded.Peer) string {
	name := p.Name
	if name == "" {
		name = p.ID
	}
	if p.Endpoint == "" {
		return name
	}
	return name + " (" + p.Endpoint + ")"
}
