package backup

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// Plan is what a restore changes.
type Plan struct {
	// Programs are those that users have written, and what becomes of them.
	Added, Changed, Removed []string
	// Intents is of how many processes something else is wanted than now, Cordons how many of these change.
	Intents, Cordons int
	// Known is how much is put back of what was found out about machines and runs.
	Known int
	// Fresh: there is no key space yet. It gets the schema and the keys of the backup.
	Fresh bool

	first  []store.Op // together, if none of their keys exists
	wanted []store.Op
	known  []store.Op // each only where nothing stands
	tokens int64
}

// Empty reports whether nothing is to be changed.
func (p *Plan) Empty() bool { return !p.Fresh && len(p.wanted)+len(p.known) == 0 }

// Machines are those that the store does not know, and of which it is put back that they have joined.
func (p *Plan) Machines(keys store.Keys) (names []string) {
	for _, op := range p.known {
		if n, err := keys.Parse(op.Key); err == nil && n.Kind == store.KindInfo {
			names = append(names, n.Machine)
		}
	}
	return names
}

// NewPlan compares a backup with what stands below the prefix now.
func NewPlan(b *Backup, keys store.Keys, now []store.Entry) (*Plan, error) {
	c := comparer{keys: keys, now: map[string]store.Entry{}, saved: map[string]store.Entry{}}
	for _, e := range now {
		c.now[e.Key] = e
	}
	for _, e := range b.Entries {
		e.Key = keys.Root() + strings.TrimPrefix(e.Key, b.Prefix) // it may come to stand below another prefix
		c.saved[e.Key] = e
		c.order = append(c.order, e.Key)
	}
	schema, found := c.saved[keys.Schema()]
	if !found {
		return nil, fmt.Errorf("%w: it has no schema", ErrDamaged)
	}
	if _, err := store.DecodeSchema(keys, &schema); err != nil {
		return nil, err
	}
	c.plan.tokens = b.Tokens
	if _, exists := c.now[keys.Schema()]; !exists {
		c.plan.Fresh = true
		for _, key := range []string{keys.Schema(), keys.PublicKey(), keys.SigningKey()} {
			if e, found := c.saved[key]; found {
				c.plan.first = append(c.plan.first, store.Put(key, e.Value))
			}
		}
	}
	for _, key := range c.order {
		if err := c.put(key, c.saved[key]); err != nil {
			return nil, err
		}
	}
	for _, e := range now {
		c.remove(e)
	}
	return &c.plan, nil
}

type comparer struct {
	keys       store.Keys
	now, saved map[string]store.Entry
	order      []string
	plan       Plan
}

// put puts back one key of the backup.
func (c *comparer) put(key string, e store.Entry) (err error) {
	n, err := c.keys.Parse(key)
	if err != nil {
		return err
	}
	old, exists := c.now[key]
	same := exists && bytes.Equal(old.Value, e.Value)
	switch n.Kind {
	case store.KindProgram:
		switch {
		case same:
			return nil
		case exists:
			c.plan.Changed = append(c.plan.Changed, n.ID)
		default:
			c.plan.Added = append(c.plan.Added, n.ID)
		}
		c.plan.wanted = append(c.plan.wanted, store.Put(key, e.Value))
	case store.KindIntent:
		return c.intent(key, e, old, exists)
	case store.KindCordon:
		if !same {
			c.plan.Cordons++
			c.plan.wanted = append(c.plan.wanted, store.Put(key, e.Value))
		}
	case store.KindInfo:
		c.find(key, e.Value, exists)
	case store.KindOwner:
		return c.owner(n.ID, key, e, exists)
	}
	return nil
}

// find puts back what was found out, where nothing stands.
func (c *comparer) find(key string, value []byte, exists bool) {
	if !exists {
		c.plan.Known++
		c.plan.known = append(c.plan.known, store.Put(key, value))
	}
}

// intent: what is wanted is as it was, but what was counted goes on from where it is. Else everything would restart.
func (c *comparer) intent(key string, e, old store.Entry, exists bool) error {
	saved, err := store.Decode[api.Intent](e)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if exists {
		now, err := store.Decode[api.Intent](old)
		switch {
		case err == nil && now.Want == saved.Want:
			return nil
		case err == nil:
			saved.Restarts, saved.Moves, saved.To = now.Restarts, now.Moves, now.To
		}
	}
	c.plan.Intents++
	c.plan.wanted = append(c.plan.wanted, store.Put(key, store.Encode(saved)))
	return nil
}

// owner: where the last run of a process was, with what its machine said of it, so that it is known to be dead before it runs
// elsewhere. It is placed no more.
func (c *comparer) owner(id, key string, e store.Entry, exists bool) error {
	o, err := store.Decode[api.Owner](e)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	o.Placed = false
	c.find(key, store.Encode(o), exists)
	status := c.keys.Status(o.Machine, id)
	if s, found := c.saved[status]; found && !exists && o.Machine != "" {
		_, exists := c.now[status]
		c.find(status, s.Value, exists)
	}
	return nil
}

// remove takes away what users did not want then.
func (c *comparer) remove(e store.Entry) {
	n, err := c.keys.Parse(e.Key)
	if err != nil {
		return
	}
	if _, saved := c.saved[e.Key]; saved {
		return
	}
	switch n.Kind {
	case store.KindProgram:
		c.plan.Removed = append(c.plan.Removed, n.ID)
	case store.KindIntent:
		c.plan.Intents++
	case store.KindCordon:
		c.plan.Cordons++
	default:
		return
	}
	c.plan.wanted = append(c.plan.wanted, store.Delete(e.Key))
}
