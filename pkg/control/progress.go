package control

import "github.com/distsuper/distsuper/pkg/client"

// Progress is news for a caller that waits: a Slow, Left, Silent or Answering.
type Progress interface{ progress() }

// Slow: a process has been in one state for Options.SlowAfter. It comes once for each state, while few processes are left.
type Slow struct {
	Process string
	Text    string // the state, and what is waited for
}

// Left is a summary that comes now and then while many processes are left. Machine is the one that is being emptied, "" for
// none.
type Left struct {
	Processes []string
	Machine   string
}

// Silent: the store has stopped answering. Answering: it answers again.
type Silent struct{ Why error }

// Answering: see Silent.
type Answering struct{}

func (Slow) progress()      {}
func (Left) progress()      {}
func (Silent) progress()    {}
func (Answering) progress() {}

// silence is whether the store has stopped answering, true while it has.
type silence bool

// see takes a state of the watch in, reports whether the store is silent, and passes on when that begins and ends.
func (is *silence) see(s client.Seen, report func(Progress)) bool {
	switch {
	case !s.Connected && !bool(*is):
		report(Silent{s.Why})
	case s.Connected && bool(*is):
		report(Answering{})
	}
	*is = silence(!s.Connected)
	return bool(*is)
}
