package seen

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/store"
)

// Memory keeps in a file what was seen of a store. Its methods may be called at once.
type Memory struct {
	path  string // "" without a file
	write func(Record) error
	clock clock.Clock
	log   *zap.Logger
	work  sync.WaitGroup
	done  chan struct{}
	// failed: the last save did.
	failed atomic.Bool

	mu       sync.Mutex // guards what follows
	core     *Core
	atOnce   bool          // write does not wait for anything
	closed   bool          // nothing is saved but by Close
	behind   error         // store.ErrBehind, when the store was condemned
	found    chan struct{} // closed with that
	accepted bool
}

// Open reads the file at path; a missing one is a new daemon that has seen nothing. A nil clock is clock.Go, a
// nil logger silent.
func Open(path string, c clock.Clock, log *zap.Logger) (*Memory, error) {
	if c == nil {
		c = clock.Go{}
	}
	if log == nil {
		log = zap.NewNop()
	}
	var saved Record
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read what was seen of etcd: %w", err)
	default:
		if err := json.Unmarshal(b, &saved); err != nil {
			saved = Record{Behind: &store.Mark{}, Unknown: true, Why: fmt.Sprintf("or nobody knows whether it has: %s is damaged (%v)", path, err)}
		}
	}
	m := newMemory(saved, c, log)
	m.path, m.write = path, m.writeFile
	return m, nil
}

// New makes a Memory of what was saved, which is kept wherever write puts it at once.
func New(saved Record, c clock.Clock, log *zap.Logger, write func(Record) error) *Memory {
	m := newMemory(saved, c, log)
	m.write, m.atOnce = write, true
	return m
}

func newMemory(saved Record, c clock.Clock, log *zap.Logger) *Memory {
	m := &Memory{clock: c, log: log, done: make(chan struct{}), found: make(chan struct{}), core: NewCore(saved)}
	if saved.Behind != nil {
		m.condemnLocked(Condemn{saved.Why})
	}
	return m
}

// Mark returns the highest revision and raft term that have been seen.
func (m *Memory) Mark() store.Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.Mark()
}

// Err is store.ErrBehind once the store was found behind.
func (m *Memory) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.behind
}

// Found closes when the store is found behind.
func (m *Memory) Found() <-chan struct{} { return m.found }

// Condemn notes that somebody who follows the store has found it behind, and how.
func (m *Memory) Condemn(how error) {
	_, why, _ := strings.Cut(how.Error(), store.ErrBehind.Error()+": ")
	_ = m.take(Found{why})
}

// Record returns what is remembered.
func (m *Memory) Record() Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.Record()
}

// Look takes in what the schema says, and reports whether a store that was found behind has been accepted: that is on disk then, and
// counts from the next Open on. With an error it is not on disk; another Look tries again.
func (m *Memory) Look(at store.Mark, schema api.Schema) (bool, error) {
	m.mu.Lock()
	for _, effect := range m.core.Step(m.clock.Now(), Looked{at, schema}) {
		switch effect := effect.(type) {
		case Accept:
			m.accepted = true
			m.log.Info("etcd is trusted again", zap.String("restored", schema.RestoredID()), zap.Stringer("at", at), zap.Int64("floor", schema.Floor))
		case Save:
			m.saveLaterLocked(effect)
		}
	}
	record, accepted := m.core.Record(), m.accepted
	m.mu.Unlock()
	if !accepted {
		return false, nil
	}
	m.work.Wait() // an earlier save must not come after this one
	return true, m.write(record)
}

// trusted is Core.Trusted.
func (m *Memory) trusted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.Trusted()
}

// take takes an event in, and returns Err. It never waits for the disk: renewals pass here.
func (m *Memory) take(e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, effect := range m.core.Step(m.clock.Now(), e) {
		switch effect := effect.(type) {
		case Condemn:
			m.condemnLocked(effect)
		case Save:
			m.saveLaterLocked(effect)
		}
	}
	return m.behind
}

func (m *Memory) condemnLocked(c Condemn) {
	m.behind = fmt.Errorf("%w: %s. It was restored from a snapshot, wiped, or is another etcd: nothing is started, placed or renewed by it. "+
		"If that is meant, run \"distsuperctl init db --after-restore\" once, on any host; if not, set [etcd] endpoints right", store.ErrBehind, c.Why)
	close(m.found)
	m.log.Error("etcd is not trusted", zap.Error(m.behind))
}

// saveLaterLocked saves beside what goes on.
func (m *Memory) saveLaterLocked(s Save) {
	switch {
	case m.atOnce:
		m.core.Step(m.clock.Now(), Saved{s.Record, m.write(s.Record)})
	case !m.closed:
		m.work.Go(func() { m.saveAndRest(s.Record) })
	}
}

// saveAndRest saves, and looks again when the next save may be due.
func (m *Memory) saveAndRest(record Record) {
	err := m.write(record)
	if m.failed.Swap(err != nil) != (err != nil) { // each try, once a second, is not worth a line
		if err != nil {
			m.log.Warn("cannot note what was seen of etcd; trying again once a second", zap.String("file", m.path), zap.Error(err))
		} else {
			m.log.Info("what was seen of etcd is noted again", zap.String("file", m.path))
		}
	}
	_ = m.take(Saved{record, err})
	timer := m.clock.NewTimer()
	defer timer.Stop()
	timer.Reset(m.clock.Now().Add(saveEvery))
	select {
	case <-timer.C():
		_ = m.take(Tick{})
	case <-m.done:
	}
}

// writeFile replaces the file as a whole.
func (m *Memory) writeFile(record Record) error {
	b, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return statedir.WriteFile(m.path, append(b, '\n'))
}

// Close saves what is not saved yet.
func (m *Memory) Close() error {
	m.mu.Lock()
	if !m.closed {
		m.closed = true
		close(m.done)
	}
	m.mu.Unlock()
	m.work.Wait()
	m.mu.Lock()
	record, saved := m.core.Record(), m.core.Saved()
	m.mu.Unlock()
	if record == saved {
		return nil
	}
	err := m.write(record)
	_ = m.take(Saved{record, err})
	if err != nil {
		return fmt.Errorf("note what was seen of etcd: %w", err)
	}
	return nil
}
