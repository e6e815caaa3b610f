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
	// Asked: nobody waited, so that Fault says nothing yet.
	Asked bool
	// Passed: "all", a group or a pattern meant it, and there was nothing to do. Supervisor says nothing of it.
	Passed bool
	// Process as it was last seen; nil for one that is not there.
	Process *client.Process
}

// sequence tells outcomes as soon as they are known, but in the order of the names: what one name means waits for those
// before it.
type sequence struct {
	tell func(Outcome)
	of   map[string]int // the batch of a process
	open []int          // how many outcomes of a batch are to come
	held [][]Outcome    // those of a batch that are known and not told yet
	next int            // the batches before it are told whole
}

func newSequence(batches []Batch, tell func(Outcome)) *sequence {
	s := &sequence{tell: tell, of: map[string]int{}, open: make([]int, len(batches)), held: make([][]Outcome, len(batches))}
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

// addBad takes the outcome of a batch whose name means nothing.
func (s *sequence) addBad(batch int, o Outcome) {
	s.open[batch]--
	s.held[batch] = append(s.held[batch], o)
	s.flush()
}

// add takes the outcome of a process.
func (s *sequence) add(o Outcome) { s.addBad(s.of[o.Name], o) }

// flush tells what it is the turn of.
func (s *sequence) flush() {
	for ; s.next < len(s.held); s.next++ {
		s.release(s.next)
		if s.open[s.next] > 0 {
			return
		}
	}
}

// abandon tells out of turn what else is known: nothing more will come.
func (s *sequence) abandon() {
	for i := range s.held {
		s.release(i)
	}
}

func (s *sequence) release(batch int) {
	for _, o := range s.held[batch] {
		s.tell(o)
	}
	s.held[batch] = nil
}
