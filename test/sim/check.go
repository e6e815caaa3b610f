package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// The promises. Each is looked at whenever it can be broken, but RunsAgain and the two about rest, which need everything to be well.
const (
	OneCopy      = "at most one live copy"
	CurrentToken = "a start only under a token that is current"
	RisingTokens = "tokens rise"
	OneWriter    = "each key has one kind of writer"
	IntentStays  = "the user's last intent is never lost"
	DoneStays    = "EXITED stays done"
	StoppedStays = "STOPPED stays stopped"
	Told         = "no action without a cause in history"
	RunsAgain    = "a wanted process runs again in time"
)

// Bound is how long after the last fault a wanted process may be without a copy: three leases of those that are drawn here and an
// election, the settling of a new leader, and what a process needs to end and to begin.
const Bound = 40 * time.Second

// unheard is how much longer it may be where etcd was restored: who was cut off from it all the time finds nothing behind, and goes by
// what it saw of the store before, until it compares all with what stands there (store.Following does so each minute).
const unheard = time.Minute

// checker sees every copy and every revision, and notes which promise is broken.
type checker struct {
	w       *World
	alive   map[string][]*copyOf // by process
	starts  map[string]int
	tokens  map[string]int64 // the highest that a placement had
	touch   map[slot]api.Touch
	status  map[slot]api.Status
	owner   map[string]api.Owner
	intent  map[string]versioned[api.Intent]
	program map[string]int64 // revisions
	// placed is what stood when the present token was given.
	placed map[string]placedAt
	writer *node // who makes the transaction that is being carried out; nil for etcd itself

	fences
	course
	restored bool            // etcd went back, and nobody has accepted that yet
	bound    time.Duration   // Bound, or longer
	kept     map[string]bool // processes for which a user has written on_partition = keep

	expecting bool
	missing   map[string]time.Duration // since when a process that is wanted has no copy
	worst     time.Duration
}

type slot struct{ process, machine string }

type versioned[T any] struct {
	value T
	rev   int64
}

type placedAt struct {
	token           int64
	intent, program int64 // revisions
	restarts        int64 // that had been asked for
	decided         bool  // by a leader, and not by a user who accepted a store that went back
	machine         string
}

func newChecker(w *World) *checker {
	return &checker{w: w, alive: map[string][]*copyOf{}, starts: map[string]int{}, tokens: map[string]int64{}, touch: map[slot]api.Touch{},
		status: map[slot]api.Status{}, owner: map[string]api.Owner{}, intent: map[string]versioned[api.Intent]{}, program: map[string]int64{},
		placed: map[string]placedAt{}, missing: map[string]time.Duration{}, fences: newFences(), course: newCourse(), kept: map[string]bool{}, bound: Bound}
}

// began takes a copy in that has just been started.
func (c *checker) began(p *copyOf) {
	id, at := p.ref.ID, slot{p.ref.ID, p.k.m.Name}
	c.starts[id]++
	if others := c.unexcused(c.alive[id]); len(others) > 0 && !c.goesOnKept(p) {
		c.w.violate(OneCopy, "%s starts on %s (token %d) while it lives on %s", id, p.k.m.Name, p.ref.Token, describe(others))
	}
	c.alive[id] = append(c.alive[id], p)
	c.startOf(p)
	if st := c.status[at]; st.Token >= p.ref.Token && st.Released {
		c.w.violate(StoppedStays, "%s starts on %s under token %d, which was released", id, p.k.m.Name, p.ref.Token)
	}
	c.noteMissing(id)
}

// unexcused are the copies that nobody may start another beside: under a keep that a user
// wrote, a machine that nobody reaches counts as dead, and that is a documented limit.
func (c *checker) unexcused(copies []*copyOf) []*copyOf {
	return slices.DeleteFunc(slices.Clone(copies), func(p *copyOf) bool {
		at := slot{p.ref.ID, p.k.m.Name}
		return c.kept[at.process] && c.keeps(at, p.ref.Token)
	})
}

// goesOnKept reports whether a copy is started in place of one that is excused.
func (c *checker) goesOnKept(p *copyOf) bool {
	at := slot{p.ref.ID, p.k.m.Name}
	return c.runs[run{at, p.ref.Token, p.instance}] && c.kept[at.process] && c.keeps(at, p.ref.Token)
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
			break
		}
	}
	c.noteMissing(id)
}

// committed sees a revision before anybody else.
func (c *checker) committed(rev int64, changes []store.Change) {
	told := map[string]bool{}
	for _, ch := range changes {
		if name, err := c.w.Keys.Parse(ch.Entry.Key); err == nil && name.Kind == store.KindHistory {
			told[name.ID] = true
		}
	}
	for _, ch := range changes {
		gone := ch.Kind == store.ChangeDelete
		c.elected(ch.Entry, gone)
		name, err := c.w.Keys.Parse(ch.Entry.Key)
		if err != nil {
			continue
		}
		c.written(name)
		switch name.Kind {
		case store.KindTouch:
			c.touched(name, ch.Entry, gone)
		case store.KindPlacement:
			c.decided(name)
			c.place(name, ch.Entry, gone, told[name.ID])
		case store.KindStatus:
			c.reported(name, ch.Entry, gone)
		case store.KindOwner:
			c.decided(name)
			set(c.owner, name.ID, ch.Entry, gone)
			c.noteMissing(name.ID)
		case store.KindProgram:
			c.defined(name.ID, ch.Entry, rev)
		case store.KindIntent:
			c.intended(name.ID, ch.Entry, gone, rev)
		}
	}
}

// set keeps a value, as far as it can be read.
func set[K comparable, T any](all map[K]T, key K, e store.Entry, gone bool) {
	delete(all, key)
	if v, err := store.Decode[T](e); err == nil && !gone {
		all[key] = v
	}
}

// written looks who changes a key.
func (c *checker) written(name store.Name) {
	if c.writer == nil { // a lease has expired
		return
	}
	who, ok := c.writer.name, false
	switch name.Kind {
	case store.KindProgram, store.KindIntent, store.KindCordon, store.KindDead, store.KindLoad:
		ok = c.writer == &c.w.Users.node || c.isController(c.writer) && name.Kind == store.KindCordon
	case store.KindPlacement, store.KindOwner, store.KindLosses, store.KindLeader:
		ok = c.isController(c.writer) || c.writer == &c.w.Users.node
	case store.KindTouch, store.KindAlive:
		ok = who == name.Machine+"/agent" || c.w.Users.accepting > 0 && c.writer == &c.w.Users.node // who accepts the store takes over what runs
	default:
		return
	}
	if !ok {
		c.w.violate(OneWriter, "%s changes %s", who, c.w.Keys.Of(name))
	}
}

func (c *checker) isController(n *node) bool {
	for _, d := range c.w.Controllers {
		if n == &d.node {
			return true
		}
	}
	return false
}

// intended: only the user changes an intent (written looks at that).
func (c *checker) intended(id string, e store.Entry, gone bool, rev int64) {
	delete(c.intent, id)
	if v, err := store.Decode[api.Intent](e); err == nil && !gone {
		c.intent[id] = versioned[api.Intent]{v, rev}
	}
	c.noteMissing(id)
}

// place looks at a placement that was put or removed. Those of one revision come in the order of its operations.
func (c *checker) place(name store.Name, e store.Entry, gone, told bool) {
	id := name.ID
	if !told && c.writer != nil && c.isController(c.writer) && !c.w.Etcd.full && !c.w.untold(c.writer) {
		p, _ := store.Decode[api.Placement](e)
		if gone || p.Token > c.tokens[id] {
			c.w.violate(Told, "%s changes the placement of %s on %s, and history does not say why", c.writer.name, id, name.Machine)
		}
	}
	if gone {
		delete(c.placement, slot{id, name.Machine})
		return
	}
	p, err := store.Decode[api.Placement](e)
	if err != nil {
		return
	}
	c.placedOn(name, p)
	if again := c.writer != &c.w.Users.node && e.CreateRev == e.ModRev && p.Token == c.tokens[id]; again || p.Token < c.tokens[id] {
		c.w.violate(RisingTokens, "%s is placed on %s under token %d, after %d", id, name.Machine, p.Token, c.tokens[id])
	}
	before := c.placed[id]
	if p.Token == before.token && name.Machine != before.machine {
		c.w.violate(RisingTokens, "%s is placed on %s under token %d, as on %s before", id, name.Machine, p.Token, before.machine)
	}
	if p.Token <= before.token {
		return
	}
	c.asked(id, name.Machine, p.Token)
	now := placedAt{token: p.Token, decided: c.writer != nil && c.isController(c.writer), intent: c.intent[id].rev, restarts: c.intent[id].value.Restarts, program: c.program[p.Process.Program], machine: name.Machine}
	st := c.status[slot{id, before.machine}]
	// What was taken over from a store that went back may be of another definition than the one that stands there.
	if before.decided && st.Token == before.token && st.Released && st.State == api.Exited && now.intent == before.intent && now.program == before.program && before.token != 0 {
		c.w.violate(DoneStays, "%s is placed on %s under token %d, though it was done under %d and nobody asked for it anew", id, name.Machine, p.Token, before.token)
	}
	c.tokens[id], c.placed[id] = p.Token, now
}

// wanted reports whether a process is to run: its intent says so, its program exists, and it is not done.
func (c *checker) wanted(id string) bool {
	i, stands := c.intent[id]
	if !stands || i.value.Want != api.WantRun || c.w.mayEnd[id] {
		return false
	}
	o := c.owner[id]
	return o.Finished == nil
}

// noteMissing notes since when a wanted process has had no copy.
func (c *checker) noteMissing(id string) {
	if !c.expecting {
		return
	}
	since, missing := c.missing[id]
	switch now := c.wanted(id) && len(c.alive[id]) == 0; {
	case now && !missing:
		c.missing[id] = c.w.now
	case !now && missing:
		c.worst = max(c.worst, c.w.now-since)
		delete(c.missing, id)
	}
}

// expectAll counts from now on how long wanted processes are without a copy.
func (c *checker) expectAll(time.Duration) {
	c.expecting = true
	for _, id := range c.w.wanted {
		c.noteMissing(id)
	}
}

// atTheEnd looks at what must be so after a calm.
func (c *checker) atTheEnd() {
	for _, id := range c.w.wanted {
		since, missing := c.missing[id]
		if missing && !c.promised(id) {
			c.worst = max(c.worst, c.w.now-since)
			if c.w.now-since > c.bound && c.canRun(id) {
				c.w.violate(RunsAgain, "%s has had no copy for %v: %s", id, c.w.now-since, c.owner[id].Reason)
			}
		}
		if i, stands := c.intent[id]; (!stands || i.value.Want == api.WantStop) && len(c.alive[id]) > 0 {
			c.w.violate(StoppedStays, "%s lives on %s, and is to be stopped", id, describe(c.alive[id]))
		}
		c.asAsked(id)
	}
	if c.worst > c.bound && c.w.broken == nil && c.canRun("") {
		c.w.violate(RunsAgain, "a wanted process had no copy for %v", c.worst)
	}
}

// canRun reports whether there is anything left to be waited for. Where every machine is cordoned nobody may take a process, and
// controllers that are all newcomers move nothing that expired before every set of controllers without them is too old.
func (c *checker) canRun(string) bool {
	if !slices.ContainsFunc(c.w.Controllers, func(d *Controller) bool { return d.up && d.stood.Member }) {
		return false
	}
	for _, m := range c.w.Machines {
		if len(c.w.Etcd.Server.Entries(c.w.Keys.Cordon(m.Name))) == 0 {
			return true
		}
	}
	return false
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
