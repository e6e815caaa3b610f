package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/mode"
)

// Starting a process costs a machine far more than running it. A machine that gets everything at once that another one ran is
// late with its own renewals, is taken for dead, and hands on what it has not even started. So it gets a number of placements, and
// more once it has taken up half of them, by priority: what precedes others never waits for these. What is moved without need,
// as by a drain, goes on running until it is its turn.
const (
	// StartPace is how many placements a machine may have that it has not taken up, unless SetStartPace says so. A healthy machine
	// takes up so many in a few milliseconds.
	StartPace = 32
	// fleetPace is how many times as many all machines together may have: each is some writes to the store.
	fleetPace = 16
	// turnAgain is when a process is looked at again whose turn comes with time, and not when others have been taken up (Turns).
	turnAgain = time.Second
	// turnTold is after how long people are told that it waits.
	turnTold = 3 * time.Second
)

// paces are the starts and moves on their way, as far as the view shows them.
type paces struct {
	most     int                 // starts on one machine, and moves: what somebody asked for without need
	starting int                 // on all machines
	crowded  bool                // no machine gets more before half of these are taken up
	moving   int                 // between two machines
	jammed   bool                // nothing more is moved without need before half of these have arrived
	waiting  map[string]struct{} // processes whose turn it was not
}

// SetStartPace sets how many starts a machine may have before it, and how many moves are made at a time.
func (v *View) SetStartPace(n int) { v.pace.most = n }

// inFleet is how many starts all machines together may have before them.
func (p *paces) inFleet() int { return fleetPace * p.most }

// starts notes on which machine a process is placed that has not taken it up; "" for none.
func (v *View) starts(p *ProcessFacts, machine string) {
	if p.starting == machine {
		return
	}
	if p.starting != "" {
		v.pace.starting--
		if old := v.Machines[p.starting]; old != nil { // it may be forgotten by now
			old.starting--
		}
	}
	if p.starting = machine; machine != "" {
		v.machine(machine).starting++
		v.pace.starting++
	}
}

// moves notes whether a process has been taken from one machine and is not yet placed on another.
func (v *View) moves(p *ProcessFacts, on bool) {
	if p.moving == on {
		return
	}
	if p.moving = on; on {
		v.pace.moving++
	} else {
		v.pace.moving--
	}
}

// between reports whether the process is on its way to another machine: it is to run, and nothing is known that keeps it.
func (p *ProcessFacts) between() bool {
	if p.Owner == nil || !p.Wanted() {
		return false
	}
	o := p.Owner.Value
	return !o.Placed && o.Machine != "" && o.Finished == nil && (o.WaitingFor == api.WaitingForNothing || o.WaitingFor == api.WaitingForTurn)
}

// Paced takes in for which turn the last plan let the process wait; nil for none. Until that has come, it is nobody else's either.
func (v *View) Paced(process string, turn *Turn) {
	if turn == nil {
		delete(v.pace.waiting, process)
		return
	}
	v.pace.waiting[process] = struct{}{}
	switch m := v.Machines[turn.Machine]; {
	case turn.Back, turn.Grey:
	case turn.Moves:
		v.pace.jammed = true
	case m != nil:
		m.crowded = true
	default:
		v.pace.crowded = true
	}
}

// Turns makes dirty what waits for its turn, when it may have come. flying are the writes on their way, as in Input.
func (v *View) Turns(flying map[string]string) {
	l := newLoad(v)
	l.fly(flying)
	free := false
	open := func(closed *bool, now, most int) {
		if *closed && now <= most/2 {
			*closed, free = false, true
		}
	}
	open(&v.pace.crowded, v.pace.starting+l.begun, v.pace.inFleet())
	open(&v.pace.jammed, v.pace.moving+l.leaving, v.pace.most)
	for _, m := range v.Machines {
		open(&m.crowded, m.starting+l.starting[m.Name], v.pace.most)
	}
	if free {
		for id := range v.pace.waiting {
			v.Mark(id)
		}
	}
}

// Turn is what a process waits for: that a machine, or with "" the whole fleet, has taken up what it is to start; with Moves, that
// others have arrived; with Back, that the machine has been back for longer; with Grey, that starts succeed there again.
type Turn struct {
	Machine           string
	Moves, Back, Grey bool
}

// crowded reports whether the machine first has to take up what it was given.
func (d *decider) crowded(m *MachineFacts) bool {
	return m.crowded || m.starting+d.load.starting[m.Name] >= d.v.pace.most
}

// turn says what a start on the machine has to wait for; nil for nothing.
func (d *decider) turn(p *ProcessFacts, c candidate) *Turn {
	switch {
	case d.in.Mode == mode.Alone:
		return nil
	case c.grey && c.rank != 0 && lacked(p, c.m.Name) && !newRunAsked(p): // it has just been tried
		return &Turn{Machine: c.m.Name, Grey: true}
	case c.laden && c.rank != 0: // who asks for it gets it
		return &Turn{Machine: c.m.Name, Back: true}
	case d.crowded(c.m):
		return &Turn{Machine: c.m.Name}
	case d.v.pace.crowded || d.v.pace.starting+d.load.begun >= d.v.pace.inFleet():
		return &Turn{}
	}
	return nil
}

// turnToLeave says what a process has to wait for that is to leave a machine where it runs.
func (d *decider) turnToLeave(to choice) *Turn {
	if to.grey {
		return &Turn{Machine: to.machine.Name, Grey: true}
	}
	if d.in.Mode != mode.Alone && (d.v.pace.jammed || d.v.pace.moving+d.load.leaving >= d.v.pace.most) {
		return &Turn{Moves: true}
	}
	return to.turn
}

func (t *Turn) why() string {
	switch {
	case t.Grey:
		return fmt.Sprintf("it waits until processes can be started on %s again", t.Machine)
	case t.Back:
		return fmt.Sprintf("it waits for its turn: %s was lost several times, and is given processes bit by bit", t.Machine)
	case t.Machine == "":
		return "it waits for its turn: many others go first"
	}
	return fmt.Sprintf("it waits for its turn: %s is starting others", t.Machine)
}

// waitForTurn is said of a process that is not placed yet.
func (d *decider) waitForTurn(p *ProcessFacts, t *Turn) Decision {
	dec := d.note(p, obstacle{api.WaitingForTurn, t.why()}, nil, t.why())
	if dec.Turn = t; t.Back || t.Grey {
		dec.Wake = d.in.Now.Add(turnAgain)
	}
	if m := d.v.Machines[t.Machine]; t.Grey && m != nil {
		dec.Wake, dec.NoMachine = max(dec.Wake, m.trouble.tryFrom), true
	}
	return dec
}

// inOrder sorts processes as they are to be started: by priority; the copies of a program stand together, so that a plan spreads one
// program after the other, which leaves the machines evenly loaded.
func (v *View) inOrder(ids map[string]struct{}) []string {
	rank := func(id string) (r api.Rank, program string) {
		if p := v.Processes[id]; p != nil && p.Spec != nil {
			r, program = p.Spec.Rank(), p.Program.Name
		}
		return r, program
	}
	return slices.SortedFunc(maps.Keys(ids), func(a, b string) int {
		x, xProgram := rank(a)
		y, yProgram := rank(b)
		return cmp.Or(x.Compare(y), cmp.Compare(xProgram, yProgram), cmp.Compare(a, b))
	})
}
