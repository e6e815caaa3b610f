// Package tokenstore is an example of a store that refuses a stale fencing token: keys and values, served on a socket.
//
// Each write names a process and carries its token. A Store remembers the highest token of each process, in the step that writes
// and on disk, so that it refuses a write of an older copy however late that arrives, also after a restart of its own.
// Witnesses in fault tests write to one: what it accepted, in its order, is a testimony that depends on no clock (Store.Writes).
//
// Store.Serve speaks a protocol of lines, which Client speaks, too, and anything that can open a socket:
//
//	put PROCESS TOKEN KEY VALUE    ok, or "stale" and the highest token
//	get KEY                        "is" and the value, or "none"
//
// The value is the rest of the line. The other fields have no spaces.
package tokenstore

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
)

// StaleError refuses a write: a copy with a higher token has written before.
type StaleError struct{ Highest int64 }

func (e StaleError) Error() string {
	return fmt.Sprintf("the token is stale: a copy with token %d has written", e.Highest)
}

// Write is one that was accepted.
type Write struct {
	Process string `json:"process"`
	Token   int64  `json:"token"`
	Key     string `json:"key"`
	Value   string `json:"value"`
}

// A Store is what was written. Its methods may be called from any goroutine.
type Store struct {
	mu      sync.Mutex // guards what follows
	file    *os.File
	highest map[string]int64 // by process
	values  map[string]string
	writes  []Write
	refused int
}

// Open reads the store in a file, which is made when it is not there.
func Open(path string) (*Store, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	s := &Store{file: f, highest: map[string]int64{}, values: map[string]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var w Write
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			f.Close()
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		s.apply(w)
	}
	if err := lines.Err(); err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// Put writes a value, and remembers the token. With a StaleError, or any other, nothing was written.
func (s *Store) Put(w Write) error {
	line, err := json.Marshal(w)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if highest := s.highest[w.Process]; w.Token < highest {
		s.refused++
		return StaleError{highest}
	}
	// The token is on disk before anybody hears that it was accepted. A real store would sync here; a test kills processes, not hosts.
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return err
	}
	s.apply(w)
	return nil
}

func (s *Store) apply(w Write) {
	s.highest[w.Process] = w.Token
	s.values[w.Key] = w.Value
	s.writes = append(s.writes, w)
}

// Get returns a value; false when there is none.
func (s *Store) Get(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, found := s.values[key]
	return value, found
}

// Writes are those that were accepted, in their order, and refused counts the others.
func (s *Store) Writes() (accepted []Write, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes), s.refused
}

// Close closes the file. Nothing can be written any more.
func (s *Store) Close() error { return s.file.Close() }
