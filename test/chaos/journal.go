package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/distsuper/distsuper/test/witness"
)

// Event is one line of a round's journal: what was done to the fleet, and what was asked of it.
type Event struct {
	At      int64  `json:"at"` // boot time, ns
	What    What   `json:"what"`
	Subject string `json:"subject,omitempty"` // a process or a host
	Text    string `json:"text,omitempty"`
}

// What is the kind of an event.
type What string

const (
	BurstBegins What = "burst"   // of faults; Text is the one kind, and Subject its host, where there is one only and no command
	BurstEnds   What = "calm"    // all is healed, and no command is under way
	FaultBegins What = "fault"   // on the host Subject; the first word of Text is its kind
	FaultEnds   What = "healed"  // there
	Freezes     What = "frozen"  // all processes of the host Subject stand still from here on
	Thaws       What = "thawed"  // they are going on
	Wanted      What = "wanted"  // the process Subject should run
	Unsure      What = "unsure"  // it may run or not
	Stopped     What = "stopped" // it must not start
	Note        What = "note"
)

// journal is written during a round.
type journal struct {
	mu     sync.Mutex
	file   *os.File
	events []Event
	failed error
}

func newJournal(file string) (*journal, error) {
	f, err := os.Create(file)
	return &journal{file: f}, err
}

func (j *journal) note(what What, subject, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := Event{At: witness.Now(), What: what, Subject: subject, Text: fmt.Sprintf(format, args...)}
	j.events = append(j.events, e)
	j.failed = errors.Join(j.failed, json.NewEncoder(j.file).Encode(e))
}

func (j *journal) close() error { return errors.Join(j.failed, j.file.Close()) }

// ReadJournal reads the journal of a round.
func ReadJournal(file string) ([]Event, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var events []Event
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var e Event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		events = append(events, e)
	}
	return events, in.Err()
}

// Timeline is a journal, and the copies of the processes beside it, for people.
func Timeline(events []Event, copies []witness.Copy) string {
	type line struct {
		at   int64
		text string
	}
	var lines []line
	for _, e := range events {
		lines = append(lines, line{e.At, fmt.Sprintf("%-8s %-6s %s", e.What, e.Subject, e.Text)})
	}
	for _, c := range copies {
		who := fmt.Sprintf("%s %s on %s, token %s, pid %d", c.Process, c.Part, c.Machine, c.Token, c.PID)
		lines = append(lines, line{c.Start, "         begins " + who}, line{c.Last, "         last sign of " + who})
	}
	sortBy(lines, func(l line) int64 { return l.at })
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%9.3f  %s\n", time.Duration(l.at-lines[0].at).Seconds(), l.text)
	}
	return b.String()
}
