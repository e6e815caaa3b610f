package sim

import (
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// The promises about who decides, and about what the user asked for.
const (
	OneLeader = "only who leads places"
	Quiet     = "nobody writes without end"
)

// course is what the checker knows of leaders, and of what was asked for.
type course struct {
	candidates map[string]candidate // by key
	commands   map[string]string    // of programs
	writes     map[*node]*writes
}

// candidate is who stands for election, since a revision.
type candidate struct {
	id    string
	since int64
}

// writes are how many writes of a node, and how many grants of leases, reached etcd since.
type writes struct {
	since time.Duration
	count int
}

func newCourse() course {
	return course{candidates: map[string]candidate{}, commands: map[string]string{}, writes: map[*node]*writes{}}
}

// elected takes in who stands for election.
func (c *checker) elected(e store.Entry, gone bool) {
	if !strings.HasPrefix(e.Key, c.w.Keys.Election()+"/") {
		return
	}
	delete(c.candidates, e.Key)
	if !gone {
		c.candidates[e.Key] = candidate{string(e.Value), e.CreateRev}
	}
}

// leads reports whether a controller is the first of all candidates.
func (c *checker) leads(id string) bool {
	var first candidate
	for _, other := range c.candidates {
		if first.since == 0 || other.since < first.since {
			first = other
		}
	}
	return first.id == id
}

// decided looks who changes a placement or an owner.
func (c *checker) decided(name store.Name) {
	if c.writer != nil && c.isController(c.writer) && !c.leads(c.writer.name) {
		c.w.violate(OneLeader, "%s changes %s, and does not lead", c.writer.name, c.w.Keys.Of(name))
	}
}

// defined takes in a program.
func (c *checker) defined(program string, e store.Entry, rev int64) {
	p, _ := store.Decode[api.Program](e)
	c.program[program], c.commands[program] = rev, p.Command
}

// asked looks whether a new placement is what the user wants. Who accepts a store that went back places what runs, whatever is wanted.
func (c *checker) asked(id, machine string, token int64) {
	if i := c.intent[id]; c.writer != &c.w.Users.node && i.value.Want != api.WantRun {
		c.w.violate(IntentStays, "%s is placed on %s under token %d, and the user wants it to %q", id, machine, token, i.value.Want)
	}
}

// Of more writes than mostWrites in writesWithin, most were for nothing.
const (
	mostWrites   = 600
	writesWithin = 10 * time.Second
)

// wrote takes in that a write of a node has reached etcd, or that a lease was granted.
func (c *checker) wrote(n *node) {
	s := c.writes[n]
	if s == nil || c.w.now-s.since > writesWithin {
		s = &writes{since: c.w.now}
		c.writes[n] = s
	}
	if s.count++; s.count > mostWrites {
		c.w.violate(Quiet, "%s has written %d times within %v", n.name, s.count, c.w.now-s.since)
	}
}

// asAsked looks at the end whether what runs is what the user asked for last: every restart was carried out, and the command is that of
// the program.
func (c *checker) asAsked(id string) {
	if !c.wanted(id) || len(c.alive[id]) == 0 || !c.canRun(id) {
		return
	}
	p, at := c.alive[id][0], c.placed[id]
	if !at.decided {
		return
	}
	pl := c.placement[slot{id, p.k.m.Name}]
	switch {
	case p.ref.Token != at.token:
		c.w.violate(IntentStays, "%s lives on %s under token %d, and was placed under %d last", id, p.k.m.Name, p.ref.Token, at.token)
	case at.restarts != c.intent[id].value.Restarts:
		c.w.violate(IntentStays, "%s was placed when %d restarts had been asked for, and now %d are", id, at.restarts, c.intent[id].value.Restarts)
	case pl.Process.Command != c.commands[pl.Process.Program]:
		c.w.violate(IntentStays, "%s runs %q, and its program says %q", id, pl.Process.Command, c.commands[pl.Process.Program])
	}
}
