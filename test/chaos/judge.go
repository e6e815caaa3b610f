package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/distsuper/distsuper/test/witness"
)

// History is a round as its witnesses and its journal tell it.
type History struct {
	Copies []witness.Copy
	Events []Event
	// TouchTimeouts of the processes, in seconds.
	TouchTimeouts map[string]int
}

// Verdict is what Judge finds.
type Verdict struct {
	// Overlaps are copies that lived at once; Excused those among them of a host that stood still as a whole.
	Overlaps, Excused []Overlap
	// Wrong is what else must never be: a token that fell, a process that started after it was stopped.
	Wrong []string
	// Ended is what an outage of etcd ended that every controller could promise to leave alone.
	Ended []string
	// Late are the gaps that were longer than the bound, WorstGap the longest of all that have a bound.
	Late     []string
	WorstGap time.Duration
	// Classes of bursts: the kind of their one fault, that of an outage of etcd whatever was beside it, or Several.
	Classes map[string]*Tally
}

// Tally is what came of the bursts of a class.
type Tally struct {
	Bursts, Overlaps, Ended int
	WorstGap                time.Duration
}

// in is the tally of the burst of a time.
func (v *Verdict) in(all []burst, at int64) *Tally {
	class := ""
	for _, b := range all {
		if b.from <= at {
			class = b.class
		}
	}
	t := v.Classes[class]
	if t == nil {
		t = &Tally{}
		if class != "" { // else nothing had gone wrong yet
			v.Classes[class] = t
		}
	}
	return t
}

// Overlap is parts of two copies of one process that lived at once.
type Overlap struct {
	Old, New witness.Copy
	For      time.Duration
}

func (o Overlap) String() string {
	return fmt.Sprintf("%s of %s, %s under token %s, lived for %v beside its %s on %s under token %s", o.Old.Part, o.Old.Process,
		"on "+o.Old.Machine, o.Old.Token, o.For.Round(100*time.Microsecond), o.New.Part, o.New.Machine, o.New.Token)
}

// Judge judges a round.
func Judge(h History) Verdict {
	v, all := Verdict{Classes: map[string]*Tally{}}, bursts(h.Events)
	for _, b := range all {
		v.in(all, b.from).Bursts++
	}
	for _, id := range processes(h) {
		var copies []witness.Copy
		for _, c := range h.Copies {
			if c.Process == id {
				copies = append(copies, c)
			}
		}
		sortBy(copies, func(c witness.Copy) int64 { return c.Start })
		for _, o := range overlaps(copies) {
			if excused(h.Events, o) {
				v.Excused = append(v.Excused, o)
			} else {
				v.Overlaps = append(v.Overlaps, o)
				v.in(all, o.New.Start).Overlaps++
			}
		}
		v.Wrong = append(v.Wrong, tokens(copies)...)
		v.Wrong = append(v.Wrong, revived(h.Events, id, copies)...)
		v.ended(h, id, copies)
		v.gaps(h, id, copies)
	}
	return v
}

// processes are the names of all that testified, or should have.
func processes(h History) []string {
	var ids []string
	for id := range h.TouchTimeouts {
		ids = append(ids, id)
	}
	for _, c := range h.Copies {
		if !slices.Contains(ids, c.Process) {
			ids = append(ids, c.Process)
		}
	}
	slices.Sort(ids)
	return ids
}

// overlaps are those of one process, the longest of each two trees.
func overlaps(copies []witness.Copy) []Overlap {
	longest := map[[2]string]Overlap{}
	for i, old := range copies {
		for _, next := range copies[i+1:] {
			if old.Tree == next.Tree {
				continue
			}
			boot, raw := min(old.Last, next.Last)-next.Start, min(old.LastRaw, next.LastRaw)-next.StartRaw
			if boot < 0 && raw < 0 {
				continue
			}
			o, pair := Overlap{Old: old, New: next, For: time.Duration(max(boot, raw))}, [2]string{old.Tree, next.Tree}
			if was, ok := longest[pair]; !ok || o.For > was.For {
				longest[pair] = o
			}
		}
	}
	var out []Overlap
	for _, o := range longest {
		out = append(out, o)
	}
	sortBy(out, func(o Overlap) int64 { return o.New.Start })
	return out
}

// grace is how long what was frozen may live after it goes on: until its guardian had a processor.
const grace = 2 * time.Second

// excused reports whether the old copy stood still with its whole host when the new one began, and ended when that went on.
func excused(events []Event, o Overlap) bool {
	frozen := int64(-1)
	for _, e := range events {
		if e.Subject != o.Old.Machine {
			continue
		}
		switch e.What {
		case Freezes:
			frozen = e.At
		case Thaws:
			if frozen >= 0 && frozen <= o.New.Start && o.New.Start <= e.At+int64(grace) && o.Old.Last <= e.At+int64(grace) {
				return true
			}
			frozen = -1
		}
	}
	return false
}

// tokens is what is wrong about the tokens of one process, by the start of its copies.
func tokens(copies []witness.Copy) (wrong []string) {
	highest, where := int64(0), ""
	for _, c := range copies {
		token, err := strconv.ParseInt(c.Token, 10, 64)
		switch {
		case err != nil || token <= 0:
			wrong = append(wrong, fmt.Sprintf("%s started on %s with the token %q", c.Process, c.Machine, c.Token))
		case token < highest && c.Part == witness.MainPart:
			wrong = append(wrong, fmt.Sprintf("%s started on %s under token %d after one under %d", c.Process, c.Machine, token, highest))
		case token == highest && c.Machine != where:
			wrong = append(wrong, fmt.Sprintf("%s started on %s and on %s under the same token %d", c.Process, where, c.Machine, token))
		case token > highest:
			highest, where = token, c.Machine
		}
	}
	return wrong
}

// revived is which copies of a process began though it was stopped.
func revived(events []Event, id string, copies []witness.Copy) (wrong []string) {
	for _, s := range spans(events, id, Stopped) {
		for _, c := range copies {
			if c.Part == witness.MainPart && c.Start > s.from && c.Start < s.to {
				wrong = append(wrong, fmt.Sprintf("%s started on %s under token %s, %v after it was stopped", id, c.Machine, c.Token,
					time.Duration(c.Start-s.from).Round(time.Millisecond)))
			}
		}
	}
	return wrong
}

// span is a time.
type span struct{ from, to int64 }

// spans are the times in which the last thing that was noted of a process is what.
func spans(events []Event, id string, what What) (out []span) {
	open := int64(-1)
	var last int64
	for _, e := range events {
		last = max(last, e.At)
		if e.Subject != id || e.What != Wanted && e.What != Unsure && e.What != Stopped {
			continue
		}
		if open >= 0 && e.What != what {
			out, open = append(out, span{open, e.At}), -1
		} else if open < 0 && e.What == what {
			open = e.At
		}
	}
	if open >= 0 {
		out = append(out, span{open, last})
	}
	return out
}

func sortBy[T any](list []T, key func(T) int64) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}
