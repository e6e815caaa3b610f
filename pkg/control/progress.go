package control

import "github.com/distsuper/distsuper/pkg/client"

// Progress is what somebody who waits is told meanwhile: a Slow, Left, Silent or Answering.
type Progress interface{ progress() }

// Slow is told once of a process that has been in one state for Options.SlowAfter, while few are waited for.
type Slow struct {
	Process string
	Text    string // the state, and what is waited for
}

// Left is told now and then while many are waited for. Machine is the one that is to be free of them, "" for none.
type Left struct {
	Processes []string
	Machine   string
}

// Silent is told when the store stops answering, Answering when it does again.
type Silent struct{ Why error }

// Answering: see Silent.
type Answering struct{}

func (Slow) progress()      {}
func (Left) progress()      {}
func (Silent) progress()    {}
func (Answering) progress() {}

// silence is whether the store has stopped answering, true while it has.
type silence bool

// see takes news in, reports whether the store is silent, and tells when that begins and ends.
func (is *silence) see(s client.Seen, tell func(Progress)) bool {
	switch {
	case !s.Connected && !bool(*is):
		tell(Silent{s.Why})
	case s.Connected && bool(*is):
		tell(Answering{})
	}
	*is = silence(!s.Connected)
	return bool(*is)
}
