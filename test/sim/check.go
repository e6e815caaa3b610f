package sim

import (
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// checker sees every copy and every revision, and notes which promise is broken.
type checker struct {
	w      *World
	alive  map[string][]*copyOf // by process
	starts map[string]int
	tokens map[string]int64 // the highest that a placement had
	touch  map[touchKey]int64
}

type touchKey struct{ process, machine string }

// The promises.
const (
	OneCopy      = "at most one live copy"
	CurrentToken = "a start only under a token that is current"
	RisingTokens = "tokens rise"
	RunsAgain    = "a wanted process runs again in time"
)

func newChecker(w *World) *checker {
	return &checker{w: w, alive: map[string][]*copyOf{}, starts: map[string]int{}, tokens: map[string]int64{}, touch: map[touchKey]int64{}}
}

// began takes a copy in that has just been started.
func (c *checker) began(p *copyOf) {
	id := p.ref.ID
	c.starts[id]++
	if others := c.alive[id]; len(others) > 0 {
		c.w.violate(OneCopy, "%s starts on %s (token %d) while it lives on %s", id, p.k.m.Name, p.ref.Token, describe(others))
	}
	c.alive[id] = append(c.alive[id], p)
	if token, stands := c.touch[touchKey{id, p.k.m.Name}]; !stands || token != p.ref.Token {
		c.w.violate(CurrentToken, "%s starts on %s under token %d, and the touch there is of %d (%v)", id, p.k.m.Name, p.ref.Token, token, stands)
	}
}

func describe(copies []*copyOf) string {
	var all []string
	for _, p := range copies {
		all = append(all, fmt.Sprintf("%s (token %d, main process %d, %d children)", p.k.m.Name, p.ref.Token, p.pid, p.children))
	}
	return strings.Join(all, " and ")
}

// ended takes it out.
func (c *checker) ended(p *copyOf) {
	id := p.ref.ID
	for i, o := range c.alive[id] {
		if o == p {
			c.alive[id] = append(c.alive[id][:i:i], c.alive[id][i+1:]...)
			return
		}
	}
}

// committed sees a revision before anybody else.
func (c *checker) committed(_ int64, changes []store.Change) {
	for _, ch := range changes {
		name, err := c.w.Keys.Parse(ch.Entry.Key)
		if err != nil {
			continue
		}
		switch name.Kind {
		case store.KindTouch:
			c.touched(name, ch)
		case store.KindPlacement:
			c.placed(name, ch)
		}
	}
}

func (c *checker) touched(name store.Name, ch store.Change) {
	key := touchKey{name.ID, name.Machine}
	if ch.Kind == store.ChangeDelete {
		delete(c.touch, key)
		return
	}
	if t, err := store.Decode[api.Touch](ch.Entry); err == nil {
		c.touch[key] = t.Token
	}
}

func (c *checker) placed(name store.Name, ch store.Change) {
	if ch.Kind == store.ChangeDelete {
		return
	}
	p, err := store.Decode[api.Placement](ch.Entry)
	if err != nil {
		return
	}
	if p.Token < c.tokens[name.ID] {
		c.w.violate(RisingTokens, "%s is placed on %s under token %d, after %d", name.ID, name.Machine, p.Token, c.tokens[name.ID])
	}
	c.tokens[name.ID] = max(c.tokens[name.ID], p.Token)
}

// Alive is the machine on which a process lives, "" for none.
func (w *World) Alive(process string) string {
	if all := w.check.alive[process]; len(all) > 0 {
		return all[0].k.m.Name
	}
	return ""
}

// Starts is how many copies of a process there were.
func (w *World) Starts(process string) int { return w.check.starts[process] }
