package control

import (
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// Verb is what was asked of processes.
type Verb int

// What may be asked.
const (
	Start Verb = iota
	Stop
	Restart // only where nobody waits; who waits sees a Stop and then a Start of each
	Move
	Signal
	Clear
)

// Outcome is what became of one process, or of a name that means none.
type Outcome struct {
	Verb Verb
	// Name of the process, or the bad name.
	Name string
	Bad  *BadName // nil for a process
	// Fault is supervisor.Success, or what failed; Text says why, to people.
	Fault supervisor.Fault
	Text  string
	// Changed: the request changed what is wanted of it, or for Signal and Clear did something to it.
	Changed bool
	// Asked: the caller does not wait, so Fault says nothing yet.
	Asked bool
	// Passed: there was nothing to do, and "all", a group or a pattern meant it. Supervisor does not mention such a process.
	Passed bool
	// Process as it was last seen; nil for one that is not there.
	Process *client.Process
}

// sequence reports outcomes as soon as they are known, but in the order of the names: the outcomes of one name wait for
// those of the names before it.
type sequence struct {
	report func(Outcome)
	of     map[string]int // the batch of a process
	open   []int          // how many outcomes of a batch are to come
	held   [][]Outcome    // those of a batch that are known and not reported yet
	next   int            // the batches before it are reported completely
}

func newSequence(batches []Batch, report func(Outcome)) *sequence {
	s := &sequence{report: report, of: map[string]int{}, open: make([]int, len(batches)), held: make([][]Outcome, len(batches))}
	for i, b := range batches {
		s.open[i] = len(b.Processes)
		if b.Bad != nil {
			s.open[i]++
		}
		for _, name := range b.Processes {
			s.of[name] = i
		}
	}
	return s
}

// addTo takes an outcome of a batch.
func (s *sequence) addTo(batch int, o Outcome) {
	s.open[batch]--
	s.held[batch] = append(s.held[batch], o)
	s.flush()
}

// add takes the outcome of a process.
func (s *sequence) add(o Outcome) { s.addTo(s.of[o.Name], o) }

// flush reports everything up to the first batch that is not complete, and what is known about that one.
func (s *sequence) flush() {
	for ; s.next < len(s.held); s.next++ {
		s.release(s.next)
		if s.open[s.next] > 0 {
			return
		}
	}
}

// abandon reports everything that is known, out of order: nothing more will come.
func (s *sequence) abandon() {
	for i := range s.held {
		s.release(i)
	}
}

func (s *sequence) release(batch int) {
	for _, o := range s.held[batch] {
		s.report(o)
	}
	s.held[batch] = nil
}
