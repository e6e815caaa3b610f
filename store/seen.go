package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
)

// Mark is a point in a store's life.
type Mark struct {
	Rev  int64  `json:"rev"`
	Term uint64 `json:"term"`
}

// Seen remembers on disk the highest revision and raft term that any answer carried, so that a daemon
// knows a store that was restored from a snapshot, wiped, or exchanged for another, also after a
// restart. Once it has found the store behind it says so until the daemon ends. Its methods may be called at once.
type Seen struct {
	path  string
	clock clock.Clock
	log   *zap.Logger
	wg    sync.WaitGroup
	done  chan struct{}

	mu      sync.Mutex // guards all below
	mark    Mark
	written Mark
	writing bool // a goroutine writes, and looks again before it ends
	closed  bool
	behind  error
}

// seenEvery is the least time between two writes.
const seenEvery = time.Second

// OpenSeen reads the file at path; a missing one is a new daemon that has seen nothing. A nil clock is clock.Go, a
// nil logger silent.
func OpenSeen(path string, c clock.Clock, log *zap.Logger) (*Seen, error) {
	if c == nil {
		c = clock.Go{}
	}
	if log == nil {
		log = zap.NewNop()
	}
	s := &Seen{path: path, clock: c, log: log, done: make(chan struct{})}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("read what was seen of etcd: %w", err)
	}
	if err := json.Unmarshal(b, &s.mark); err != nil {
		return nil, fmt.Errorf("read what was seen of etcd: %s: %w; remove the file if etcd was not restored from a snapshot", path, err)
	}
	s.written = s.mark
	return s, nil
}

// Mark returns the highest of both that has been seen.
func (s *Seen) Mark() Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark
}

// Err is ErrBehind once the store was found behind.
func (s *Seen) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

// Check is CheckSince of what has been seen by now: right where answers come one after the other.
func (s *Seen) Check(rev int64, term uint64) error { return s.CheckSince(s.Mark(), rev, term) }

// CheckSince takes a linearizable answer to a request that was sent when floor had been seen, and returns
// ErrBehind when it is older than that. A revision or term of 0 was not told. Answers overtake one
// another, so one may be lower than what another has raised meanwhile.
func (s *Seen) CheckSince(floor Mark, rev int64, term uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind == nil && (rev > 0 && rev < floor.Rev || term > 0 && term < floor.Term) {
		s.behind = s.explain(floor, rev, term)
		s.log.Error("etcd is behind what was seen before", zap.Int64("rev", rev), zap.Uint64("term", term),
			zap.Int64("seen_rev", floor.Rev), zap.Uint64("seen_term", floor.Term), zap.String("file", s.path))
	}
	if s.behind != nil {
		return s.behind
	}
	s.noteLocked(rev, term)
	return nil
}

// Note raises the marks by an answer that proves nothing when it is old, such as a lagging member's.
func (s *Seen) Note(rev int64, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind == nil {
		s.noteLocked(rev, term)
	}
}

func (s *Seen) explain(floor Mark, rev int64, term uint64) error {
	return fmt.Errorf("%w: it answers at revision %d, raft term %d, after revision %d, raft term %d: it was restored from a "+
		"snapshot, wiped, or is another etcd. Nothing is started, placed or renewed by it. Check the endpoints; if it is "+
		"meant, stop the agents with \"distsuperagent stop --all\" and every distsuperd, remove %s on each of their hosts, and start them again",
		ErrBehind, rev, term, floor.Rev, floor.Term, s.path)
}

// noteLocked never waits for the disk: renewals pass here.
func (s *Seen) noteLocked(rev int64, term uint64) {
	s.mark = Mark{max(s.mark.Rev, rev), max(s.mark.Term, term)}
	if s.mark != s.written && !s.writing && !s.closed {
		s.writing = true
		s.wg.Go(s.write)
	}
}

// write writes what has risen, at most once a second, until nothing does.
func (s *Seen) write() {
	timer := s.clock.NewTimer()
	defer timer.Stop()
	for {
		err := s.save()
		if err != nil {
			s.log.Warn("cannot note what was seen of etcd", zap.String("file", s.path), zap.Error(err))
		}
		timer.Reset(s.clock.Now().Add(seenEvery))
		select {
		case <-timer.C():
		case <-s.done:
		}
		s.mu.Lock()
		if s.mark == s.written || s.closed || err != nil { // after an error the next answer tries again
			s.writing = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// save replaces the file as a whole.
func (s *Seen) save() error {
	mark := s.Mark()
	b, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	if err := replaceFile(s.path, append(b, '\n')); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = mark
	return nil
}

// replaceFile writes a file so that a crash leaves the old one or the new one.
func replaceFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close writes what is not written yet.
func (s *Seen) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.mu.Lock()
	risen := s.mark != s.written
	s.mu.Unlock()
	if !risen {
		return nil
	}
	if err := s.save(); err != nil {
		return fmt.Errorf("note what was seen of etcd: %w", err)
	}
	return nil
}
