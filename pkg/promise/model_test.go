package promise

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// model is one machine with one process, its controllers, and an etcd, all in true time. Every host has clocks of its own, which are slow or
// fast by up to a twelfth. Messages are lost and late; controllers restart, lose their disks, are copied, forgotten, and join. The one law:
// while the process lives, no controller may act on it.
type model struct {
	*rapid.T
	now   time.Duration // true
	queue []later
	story []string

	// etcd
	rev     int64
	entries map[string]*entry
	had     bool
	expires time.Duration // the touch
	cut     bool          // the machine does not reach it
	term    uint64        // of raft
	touched uint64        // term of the lease on which the touch stands, as the status says

	// the machine
	clocks  rates
	asker   *Asker
	reading bool
	lease   deadline.Deadline
	held    deadline.Deadline
	back    Returns
	moving  bool // the touch, to a new lease
	dead    bool

	controllers []*modelled
}

type later struct {
	at time.Duration
	do func()
}

// entry is one of controllers/.
type entry struct {
	created     int64
	incarnation string
	by          int // index in controllers: where its address leads to
	vouches     int64
}

// rates are those of both clocks of a host.
type rates struct{ boot, raw float64 }

func (r rates) at(now time.Duration) deadline.Moment {
	return deadline.Moment{Boot: clock.Instant(float64(now)*r.boot) + 1e15, Raw: int64(float64(now)*r.raw) + 1e14}
}

// modelled is one life of a controller.
type modelled struct {
	id, incarnation string
	host            api.HostIdentity
	clocks          rates
	g               *Grantor
	disk            Record
	down            bool
	created         int64
	leaving         uint64
}

func (c *modelled) write(r *Record) {
	if r != nil {
		c.disk = *r
		c.g.Wrote(*r)
	}
}

const modelTTL = 3

var one = Name{"web", 7}

func (m *model) say(format string, args ...any) {
	m.story = append(m.story, fmt.Sprintf("%8v ", m.now.Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

func (m *model) rates() rates {
	slew := rapid.SampledFrom([]float64{11. / 12, 1, 13. / 12})
	return rates{slew.Draw(m.T, "boot"), slew.Draw(m.T, "raw")}
}

// soon does something after a while, or never: true when the message is lost.
func (m *model) soon(what string, most time.Duration, do func()) {
	if rapid.IntRange(0, 9).Draw(m.T, "lost") == 9 {
		m.say("%s is lost", what)
		return
	}
	m.queue = append(m.queue, later{m.now + time.Duration(rapid.Int64Range(0, int64(most)).Draw(m.T, "takes")), do})
}

// join begins a life of a controller.
func (m *model) join(id string, host api.HostIdentity, disk Record, clocks rates) *modelled {
	c := &modelled{id: id, host: host, disk: disk, clocks: clocks, incarnation: fmt.Sprint("i", len(m.controllers))}
	c.g = NewGrantor(id, host, disk, clocks.at(m.now))
	m.controllers = append(m.controllers, c)
	m.say("%s begins as %s on %s", id, c.incarnation, host.Directory)
	return c
}

// register writes the entry, and hears of it later.
func (m *model) register(c *modelled) {
	m.rev++
	r := Registration{Revision: m.rev, Incarnation: c.incarnation, First: !m.had, Entry: m.rev}
	if old := m.entries[c.id]; old != nil {
		r.Entry, r.Replaced = old.created, old.incarnation
	}
	m.had = true
	m.entries[c.id] = &entry{created: r.Entry, incarnation: c.incarnation, by: slices.Index(m.controllers, c)}
	m.say("%s registers as %s at %d", c.id, c.incarnation, r.Revision)
	m.queue = append(m.queue, later{m.now + time.Duration(rapid.Int64Range(0, 1e9).Draw(m.T, "answer")), func() {
		r.Answered = c.clocks.at(m.now)
		c.created = r.Entry
		c.write(c.g.Registered(r))
	}})
}

// owns reports whether a write of this life would be taken.
func (m *model) owns(c *modelled) bool {
	e := m.entries[c.id]
	return e != nil && !c.down && c.created != 0 && e.created == c.created && e.incarnation == c.incarnation
}

// vouch: a member writes the newest registration to disk, says so, and the others read it.
func (m *model) vouch(c *modelled) {
	if !m.owns(c) {
		return
	}
	newest := m.rev // of a registration or later: it may know more, never less than it says
	c.write(c.g.Acknowledge(newest))
	if v := c.g.Vouches(c.clocks.at(m.now)); v > 0 {
		m.entries[c.id].vouches = v
		m.say("%s vouches for %d", c.id, v)
	}
}

func (m *model) look(c *modelled) {
	now := c.clocks.at(m.now)
	for _, e := range m.entries {
		if e.vouches > 0 && !c.down && c.created != 0 {
			c.g.Vouched(now, e.vouches)
		}
	}
	c.write(c.g.Settle(now))
}

// read is the machine's reading of the set.
func (m *model) read() {
	sent := m.clocks.at(m.now)
	if m.reading = true; m.cut {
		m.queue = append(m.queue, later{m.now + 2*time.Second, func() { m.reading = false; m.step(SetFailed{}) }})
		return
	}
	m.queue = append(m.queue, later{m.now + time.Duration(rapid.Int64Range(0, 5e8).Draw(m.T, "there")), func() {
		set := Set{Revision: m.rev, Read: sent}
		for id, e := range m.entries {
			set.Controllers = append(set.Controllers, Controller{ID: id, Address: fmt.Sprint(e.by), Leaving: m.controllers[e.by].leaving})
		}
		slices.SortFunc(set.Controllers, func(a, b Controller) int { return compare(Name{Process: a.ID}, Name{Process: b.ID}) })
		m.queue = append(m.queue, later{m.now + time.Duration(rapid.Int64Range(0, 5e8).Draw(m.T, "back")), func() {
			m.reading = false
			m.say("the machine has read %d controllers at %d", len(set.Controllers), set.Revision)
			m.step(SetRead{set})
		}})
	}})
}

// step takes an event to the machine's asker, and the keeper's count of the deadline.
func (m *model) step(e Event) {
	now := m.clocks.at(m.now)
	for _, effect := range m.asker.Step(now, e) {
		switch effect := effect.(type) {
		case ReadSet:
			m.read()
		case Send:
			m.soon("an ask", 3*time.Second, func() { m.asked(effect) })
		case Remember:
			m.keeper(now)
		}
	}
}

// asked is the receipt of an ask by whoever is at the address.
func (m *model) asked(s Send) {
	var by int
	fmt.Sscan(s.To.Address, &by)
	c := m.controllers[by]
	if c.down {
		return
	}
	answer, r := c.g.Answer(c.clocks.at(m.now), s.Ask)
	c.write(r)
	m.say("%s (%s) answers ask %d: %v %s", c.id, c.incarnation, s.Ask.Number, answer.Promised(), answer.Reason)
	m.soon("an answer", 3*time.Second, func() { m.step(Answered{answer}) })
}

// keeper counts the deadline of the process as the keeper does, and ends it.
func (m *model) keeper(now deadline.Moment) {
	stood := m.lease
	if now.Left(m.held) > now.Left(stood) {
		stood = m.held
	}
	if m.dead = m.dead || now.Passed(stood); !m.dead {
		m.held = m.asker.Memory().Prolong(now, one, m.held, stood, m.back)
	}
}

// renew is an answered renewal of the lease on which the touch stands, while that lives.
func (m *model) renew() {
	if m.cut || m.dead || m.now >= m.expires {
		return
	}
	sent := m.clocks.at(m.now)
	m.expires = m.now + modelTTL*time.Second
	m.lease = deadline.Of(sent, modelTTL)
	m.step(Leases{[]Lease{{TTL: modelTTL, Answered: sent}}})
}

// move puts the touch on a lease of etcd's present term, when that has risen: the keeper knows the lease first.
func (m *model) move() {
	if m.cut || m.dead || m.moving || m.touched == m.term {
		return
	}
	term, expires := m.term, m.now+modelTTL*time.Second
	fresh := deadline.Of(m.clocks.at(m.now), modelTTL)
	m.moving = true
	m.queue = append(m.queue, later{m.now + time.Duration(rapid.Int64Range(0, 1e9).Draw(m.T, "told")), func() {
		m.back = m.back.And(term, fresh)
		m.held, m.lease = deadline.Earlier(m.held, fresh), deadline.Earlier(m.lease, fresh)
		m.say("the keeper knows a lease of term %d", term)
		m.queue = append(m.queue, later{m.now + time.Duration(rapid.Int64Range(0, 2e9).Draw(m.T, "put")), func() {
			if m.moving = false; m.cut || m.dead || m.now >= expires {
				return
			}
			m.touched, m.expires, m.lease = term, expires, fresh
			m.say("the touch stands on it")
		}})
	}})
}

// judge is the law.
func (m *model) judge() {
	now := m.clocks.at(m.now)
	m.keeper(now)
	if m.dead {
		m.step(Alive{})
		return
	}
	for _, c := range m.controllers {
		if m.now >= m.expires && m.owns(c) && c.g.Forbids(c.clocks.at(m.now), "m1", one, m.touched).Kind == Free {
			m.say("%s (%s) may act, and the process lives", c.id, c.incarnation)
			for _, line := range m.story {
				m.Log(line)
			}
			m.Fatalf("two copies")
		}
	}
}

// fault is what happens by itself.
func (m *model) fault() {
	some := m.controllers[rapid.IntRange(0, len(m.controllers)-1).Draw(m.T, "controller")]
	switch rapid.IntRange(0, 15).Draw(m.T, "fault") {
	case 0, 1:
		m.cut = !m.cut
		m.say("cut off from etcd: %v", m.cut)
	case 2, 3: // restart
		if !some.down {
			some.down = true
			m.register(m.join(some.id, some.host, some.disk, some.clocks))
		}
	case 4: // restart without etcd, or with its disk lost
		if some.down = true; rapid.Bool().Draw(m.T, "disk lost") {
			some.disk = Record{}
		}
		m.join(some.id, some.host, some.disk, some.clocks)
	case 5: // a copied state directory, beside the one that it was copied from
		host := some.host
		host.Directory = fmt.Sprint("copy-", len(m.controllers))
		m.register(m.join(some.id, host, some.disk, m.rates()))
	case 6:
		delete(m.entries, some.id)
		m.rev++
		m.say("%s is forgotten", some.id)
	case 7:
		id := fmt.Sprint("c", len(m.controllers))
		m.register(m.join(id, api.HostIdentity{Name: id, BootID: id, MachineID: id, Directory: id}, Record{}, m.rates()))
	case 8:
		some.down = true
	case 9: // etcd has another leader
		m.term++
		m.say("etcd is at term %d", m.term)
	case 10, 11: // it leaves, or thinks better of it
		if some.leaving != 0 {
			some.leaving = 0
		} else {
			some.leaving = m.term
		}
		some.g.Leave(some.leaving)
		m.step(SetChanged{})
		m.say("%s (%s) leaves under term %d", some.id, some.incarnation, some.leaving)
	}
}

func TestNobodyActsOnWhatLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{T: t, rev: 1, entries: map[string]*entry{}, term: 1, touched: 1}
		m.clocks = m.rates()
		m.asker = NewAsker(Options{Machine: "m1", Farewell: true})
		for i := range rapid.IntRange(1, 2).Draw(t, "controllers") {
			id := fmt.Sprint("c", i)
			m.register(m.join(id, api.HostIdentity{Name: id, BootID: id, MachineID: id, Directory: id}, Record{}, m.rates()))
		}
		m.expires = time.Hour
		m.renew()
		m.step(Alive{[]Name{one}})
		for range rapid.IntRange(50, 400).Draw(t, "steps") {
			m.pass(time.Duration(rapid.SampledFrom([]int64{2e7, 2e8, 5e8, 1e9, 2e9}).Draw(t, "passes")))
			if rapid.IntRange(0, 7).Draw(t, "calm") == 7 {
				m.fault()
			}
			if m.dead {
				return
			}
		}
	})
}

// pass lets time pass, and what is due happen in its order.
func (m *model) pass(d time.Duration) {
	end := m.now + d
	for {
		slices.SortStableFunc(m.queue, func(a, b later) int { return int(min(max(a.at-b.at, -1), 1)) })
		if len(m.queue) == 0 || m.queue[0].at > end {
			break
		}
		next := m.queue[0]
		m.queue = m.queue[1:]
		m.now = max(m.now, next.at)
		m.judge()
		next.do()
		m.judge()
	}
	m.now = end
	m.renew()
	m.move()
	for _, c := range m.controllers {
		if !c.down && rapid.IntRange(0, 3).Draw(m.T, "vouches") == 3 {
			m.vouch(c)
		}
		m.look(c)
	}
	m.step(Tick{})
	m.judge()
}
