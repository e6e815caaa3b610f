package seen

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/store"
)

// Memory keeps in a file what was seen of a store. Its methods may be called at once.
type Memory struct {
	path  string
	clock clock.Clock
	log   *zap.Logger
	work  sync.WaitGroup
	done  chan struct{}
	// failed: the last save did.
	failed atomic.Bool

	mu     sync.Mutex // guards what follows
	core   *Core
	closed bool  // nothing is saved but by Close
	behind error // store.ErrBehind, when the store was condemned
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
	var saved store.Mark
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read what was seen of etcd: %w", err)
	default:
		if err := json.Unmarshal(b, &saved); err != nil {
			return nil, fmt.Errorf("read what was seen of etcd: %s: %w; remove the file if etcd was not restored from a snapshot", path, err)
		}
	}
	return &Memory{path: path, clock: c, log: log, done: make(chan struct{}), core: NewCore(saved)}, nil
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
			if !m.closed {
				m.work.Go(func() { m.saveAndRest(effect.Mark) })
			}
		}
	}
	return m.behind
}

func (m *Memory) condemnLocked(c Condemn) {
	m.behind = fmt.Errorf("%w: it answers at revision %d, raft term %d, after revision %d, raft term %d: it was restored from a "+
		"snapshot, wiped, or is another etcd. Nothing is started, placed or renewed by it. Check the endpoints; if it is "+
		"meant, stop the agents with \"distsuperagent stop --all\" and every distsuperd, remove %s on each of their hosts, and start them again",
		store.ErrBehind, c.At.Rev, c.At.Term, c.Floor.Rev, c.Floor.Term, m.path)
	m.log.Error("etcd is behind what was seen before", zap.Int64("rev", c.At.Rev), zap.Uint64("term", c.At.Term),
		zap.Int64("seen_rev", c.Floor.Rev), zap.Uint64("seen_term", c.Floor.Term), zap.String("file", m.path))
}

// saveAndRest saves, and looks again when the next save may be due.
func (m *Memory) saveAndRest(mark store.Mark) {
	err := m.save(mark)
	if m.failed.Swap(err != nil) != (err != nil) { // each try, once a second, is not worth a line
		if err != nil {
			m.log.Warn("cannot note what was seen of etcd; it is tried again once a second", zap.String("file", m.path), zap.Error(err))
		} else {
			m.log.Info("what was seen of etcd is noted again", zap.String("file", m.path))
		}
	}
	_ = m.take(Saved{mark, err})
	timer := m.clock.NewTimer()
	defer timer.Stop()
	timer.Reset(m.clock.Now().Add(saveEvery))
	select {
	case <-timer.C():
		_ = m.take(Tick{})
	case <-m.done:
	}
}

// save replaces the file as a whole.
func (m *Memory) save(mark store.Mark) error {
	b, err := json.Marshal(mark)
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
	mark, saved := m.core.Mark(), m.core.Saved()
	m.mu.Unlock()
	if mark == saved {
		return nil
	}
	err := m.save(mark)
	_ = m.take(Saved{mark, err})
	if err != nil {
		return fmt.Errorf("note what was seen of etcd: %w", err)
	}
	return nil
}
