// Package contact says how a machine stands with etcd: when etcd last answered it, and what that means for its processes.
//
// A Contact holds facts, each with its age, and no plans. Every sentence about it is made here, from one of these values: in
// distsuperagent's status, stop and log, and wherever distsuperctl shows what an agent itself says. So no sentence can go on
// telling what was to happen after it has happened. The package does no I/O and reads no clock.
package contact

import (
	"slices"
	"time"
)

// Contact is how a machine stood with etcd at a moment.
type Contact struct {
	At    time.Time `json:"at"` // the moment, by the machine's wall clock
	From  Source    `json:"from"`
	State State     `json:"state"`
	// SinceMillis is how long before that moment etcd last answered.
	SinceMillis int64     `json:"since_ms"`
	Processes   Processes `json:"processes"`
	// Controllers are those by whose promise processes are, or would be, held.
	Controllers []string `json:"controllers,omitempty"`
}

// Source is who knows what a Contact says.
type Source string

const (
	FromAgent  Source = "agent"
	FromKeeper Source = "keeper" // no agent answers, or none was asked
)

// State is what is known about etcd.
type State string

const (
	StateAnswers State = "answers" // renewals are answered
	StateSilent  State = "silent"  // they are not
	StatePaused  State = "paused"  // the agent runs, and does not renew
	StateUnasked State = "unasked" // no agent runs, so nobody asks etcd
	StateUnknown State = "unknown" // no lease is held that could tell
)

// Processes are those of the machine, by what their contact with etcd means for them.
type Processes struct {
	Kept    Group `json:"kept,omitzero"`
	Bounded Group `json:"bounded,omitzero"`
	Held    Group `json:"held,omitzero"`
	Ending  Group `json:"ending,omitzero"`
	Fenced  Group `json:"fenced,omitzero"`
	Over    Group `json:"over,omitzero"`
}

// Fate is what its machine's contact with etcd means for a process.
type Fate string

const (
	Kept    Fate = "kept"    // it runs on without etcd (on_partition = keep)
	Bounded Fate = "bounded" // it runs until its lease ends, unless that is renewed before
	Held    Fate = "held"    // it runs on without its lease, while every controller promises to leave it alone
	Ending  Fate = "ending"  // it is being stopped, since its lease is about to end
	Fenced  Fate = "fenced"  // it was stopped, and starts again in place if its lease is renewed or replaced
	Over    Fate = "over"    // it has ended for good; the fleet may not know that yet
)

// Group is the processes of one fate. Its durations are counted from the Contact's moment.
type Group struct {
	Count int `json:"count"`
	// Names are the first of them in alphabetical order.
	Names []string `json:"names,omitempty"`
	// FirstMillis and LastMillis is how long it is to the first and the last deadline among them, negative after it, where they are
	// Bounded, Held or Ending. That of one that is Held is the end of all promises: each of them is short, and given again and again.
	FirstMillis int64 `json:"first_deadline_ms,omitempty"`
	LastMillis  int64 `json:"last_deadline_ms,omitempty"`
	// EndedMillis is how long ago the last of them ended, where they are Fenced; 0 when none had a copy.
	EndedMillis int64 `json:"ended_ms_ago,omitempty"`
}

// mostNames is how many processes a Group names.
const mostNames = 5

// GroupOf is a group of these processes.
func GroupOf(names []string) Group {
	names = slices.Sorted(slices.Values(names))
	return Group{Count: len(names), Names: names[:min(len(names), mostNames)]}
}

// Process is what is to be known of one process.
type Process struct {
	Name string
	Fate Fate
	// Left is how long it is to its deadline, of one that is Bounded, Held or Ending; it is negative after it.
	Left time.Duration
	// Ended is how long ago its last copy ended; 0 when there was none.
	Ended time.Duration
}

// ProcessesOf sorts processes by their fates.
func ProcessesOf(all []Process) Processes {
	by := map[Fate][]Process{}
	for _, p := range all {
		by[p.Fate] = append(by[p.Fate], p)
	}
	return Processes{Kept: groupOf(by[Kept]), Bounded: groupOf(by[Bounded]).deadlines(by[Bounded]),
		Held: groupOf(by[Held]).deadlines(by[Held]), Ending: groupOf(by[Ending]).deadlines(by[Ending]),
		Fenced: groupOf(by[Fenced]).ended(by[Fenced]), Over: groupOf(by[Over])}
}

func groupOf(all []Process) Group {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return GroupOf(names)
}

func (g Group) deadlines(all []Process) Group {
	for i, p := range all {
		left := p.Left.Milliseconds()
		if i == 0 {
			g.FirstMillis, g.LastMillis = left, left
		}
		g.FirstMillis, g.LastMillis = min(g.FirstMillis, left), max(g.LastMillis, left)
	}
	return g
}

func (g Group) ended(all []Process) Group {
	for _, p := range all {
		if ago := p.Ended.Milliseconds(); ago > 0 && (g.EndedMillis == 0 || ago < g.EndedMillis) {
			g.EndedMillis = ago
		}
	}
	return g
}

// StateAt is the state of etcd by the age of its last answer, on a machine whose shortest lease lasts ttl seconds. When a quarter of
// that is over several renewals have gone unanswered, and no process has been told to stop yet.
func StateAt(age time.Duration, ttl int64) State {
	if age > time.Duration(ttl)*time.Second/4 {
		return StateSilent
	}
	return StateAnswers
}

// Since is how long before the Contact's moment etcd last answered.
func (c Contact) Since() time.Duration { return time.Duration(c.SinceMillis) * time.Millisecond }

// Answered is when etcd last answered.
func (c Contact) Answered() time.Time { return c.At.Add(-c.Since()) }

// By is the same contact as an agent knows it, which etcd last answered that long ago.
func (c Contact) By(state State, since time.Duration) Contact {
	c.From, c.State, c.SinceMillis = FromAgent, state, since.Milliseconds()
	return c
}

// Unasked is the same contact on a machine where no agent runs.
func (c Contact) Unasked() Contact {
	if c.State != StateUnknown {
		c.State = StateUnasked
	}
	return c
}
