// Package member makes a controller one of its fleet: it registers it in the store, answers the machines that ask it for promises, and
// says what it may do.
//
// A Member is the shell around a promise.Grantor, which decides. It answers before it has reached etcd, and while etcd is gone, by what the
// last life left on disk. It is the only writer of its entry, controllers/<id>, and a leader's writes compare that the entry is
// still the one which this life wrote (Standing). An entry that somebody removed is written anew, as that of a newcomer; one that
// another life replaced is left to that one, for good.
package member

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
)

// Options of a Member. All but Refuses, Clock and Log must be set.
type Options struct {
	KV   store.KV
	Keys store.Keys
	// Self is what the entry is to say of this controller: where it is, and by which certificate it is known.
	Self api.Controller
	// Host tells this host and its state directory from a copy of it.
	Host api.HostIdentity
	// File keeps what the next life must know.
	File string
	// Disk is where that is, nil for this host's own.
	Disk Disk
	// Incarnation makes a name that no life ever had; nil is rand.Text.
	Incarnation func() string
	// Refuses says why nothing may be promised at present, "" when it may.
	Refuses func() string
	Clock   clock.Clock // nil is clock.Go
	Log     *zap.Logger // nil is silent
}

// Standing is how this controller stands in the store.
type Standing struct {
	// Entry is the revision of its entry, 0 while it has none or another's stands there. Why says why.
	Entry int64
	Why   string
	// Incarnation is that of the entry: another one is another registration, though nobody may have seen that there was none in between.
	Incarnation string
	// Member: it may act on runs whose touch has expired.
	Member bool
	// Over: another life has taken its place, and this one does not come back.
	Over bool
}

// Member is one life of a controller. Run does its work; the other methods may be called by anybody at any time.
type Member struct {
	o     Options
	wake  chan struct{} // something is to be looked at in the store
	dirty chan struct{} // the file is to be written

	disk sync.Mutex // held while the file is written; taken before mu

	mu       sync.Mutex // guards what follows
	grantor  *promise.Grantor
	self     api.Controller
	machines map[string]string // fingerprints, by machine
	callers  map[string]int    // how many machines have a fingerprint
	standing Standing
	changed  chan struct{} // closed when standing changes
	answered chan struct{} // closed at the next promise
	leaving  uint64        // etcd's raft term, once this controller is about to leave for a while
	farewell *Farewell
}

// New makes a Member from what its last life left. It answers machines from now on.
func New(o Options) *Member {
	if o.Clock == nil {
		o.Clock = clock.Go{}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Disk == nil {
		o.Disk = ownDisk{}
	}
	if o.Incarnation == nil {
		o.Incarnation = rand.Text
	}
	if o.Refuses == nil {
		o.Refuses = func() string { return "" }
	}
	m := &Member{o: o, wake: make(chan struct{}, 1), dirty: make(chan struct{}, 1), self: o.Self,
		standing: Standing{Why: "it has not registered yet"}, changed: make(chan struct{}), answered: make(chan struct{})}
	found, err := load(o.Disk, o.File)
	if err != nil {
		o.Log.Warn("what the last life promised cannot be read; nothing is moved before that is over", zap.Error(err))
	}
	m.grantor = promise.NewGrantor(o.Self.ID, o.Host, found.Record, m.now())
	m.know(found.Machines)
	return m
}

func (m *Member) now() deadline.Moment { return deadline.Now(m.o.Clock) }

// Forbids says what keeps this controller from acting on a run whose touch at a machine has expired, and stood on a lease of that raft term.
func (m *Member) Forbids(machine string, n promise.Name, lease uint64) promise.Obstacle {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.grantor.Forbids(m.now(), machine, n, lease)
}

// Standing is how it stands now, and a channel that is closed when that changes.
func (m *Member) Standing() (Standing, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.standing, m.changed
}

// Say changes what the entry says of this controller.
func (m *Member) Say(self api.Controller) {
	m.mu.Lock()
	m.self = self
	m.mu.Unlock()
	poke(m.wake)
}

// Machines takes in the fingerprints by which machines are known. They are kept for a life that does not reach etcd.
func (m *Member) Machines(fingerprints map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !maps.Equal(m.machines, fingerprints) {
		m.know(maps.Clone(fingerprints))
		poke(m.dirty)
	}
}

func (m *Member) know(fingerprints map[string]string) {
	m.machines, m.callers = fingerprints, map[string]int{}
	for _, f := range fingerprints {
		m.callers[f]++
	}
}

// IsMachine reports whether a certificate is a machine's.
func (m *Member) IsMachine(fingerprint string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.callers[fingerprint] > 0
}

// ErrStranger says that somebody asked for a machine that he is not.
var ErrStranger = errors.New("only the machine itself may ask for promises")

// Answer answers a machine that shows a certificate. A promise is on disk, as far as it must be, before it is returned.
func (m *Member) Answer(fingerprint string, a promise.Ask) (promise.Answer, error) {
	answer, write, err := m.answer(fingerprint, a)
	if err != nil || !write {
		return answer, err
	}
	if err := m.save(); err != nil {
		m.o.Log.Warn("nothing is promised, since it cannot be written down", zap.Error(err))
		answer.Millis, answer.Reason = 0, "it cannot write down what it promises"
	}
	return answer, nil
}

func (m *Member) answer(fingerprint string, a promise.Ask) (answer promise.Answer, write bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if fingerprint == "" || m.machines[a.Machine] != fingerprint {
		return answer, false, fmt.Errorf("%w: this certificate is not the one that %s has published", ErrStranger, a.Machine)
	}
	if why := m.o.Refuses(); why != "" {
		return promise.Answer{Version: promise.Version, Controller: a.Controller, Number: a.Number, Reason: why}, false, nil
	}
	answer, record := m.grantor.Answer(m.now(), a)
	close(m.answered)
	m.answered = make(chan struct{})
	return answer, record != nil, nil
}

// stand takes in how the controller stands now, and has those told who wait for it.
func (m *Member) stand(s Standing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s != m.standing {
		m.standing = s
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// until is a moment of the wall clock, for people, and to the second: it is written to the store.
func (m *Member) until(left time.Duration) time.Time {
	return m.o.Clock.Wall().Add(left).UTC().Truncate(time.Second)
}
