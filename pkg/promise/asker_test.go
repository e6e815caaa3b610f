package promise

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

const ms = time.Millisecond

// set is one of the controllers c1, c2, ... that was read at a time.
func set(revision int64, read time.Duration, n int) Set {
	s := Set{Revision: revision, Read: at(read)}
	for i := range n {
		s.Controllers = append(s.Controllers, Controller{ID: fmt.Sprint("c", i+1)})
	}
	return s
}

// text writes effects short.
func text(effects []Effect) string {
	var words []string
	for _, e := range effects {
		switch e := e.(type) {
		case Send:
			words = append(words, fmt.Sprintf("ask %d %s", e.Ask.Number, e.To.ID))
		case ReadSet:
			words = append(words, "read")
		case Remember:
			words = append(words, "remember")
		}
	}
	return strings.Join(words, ", ")
}

// granted is the answer of a controller that promises.
func granted(controller string, number uint64) Event {
	return Answered{Answer{Version: Version, Controller: controller, Number: number, Millis: Length.Milliseconds()}}
}

// renewed is a lease of two seconds of which a renewal was answered that was sent then.
func renewed(sent time.Duration) Leases { return Leases{[]Lease{{TTL: 2, Answered: at(sent)}}} }

// lease is the deadline of such a lease.
func lease(sent time.Duration) deadline.Deadline { return deadline.Of(at(sent), 2) }

const never = time.Duration(-1)

func TestSteps(t *testing.T) {
	type line struct {
		at    time.Duration
		event Event
		want  string
		next  time.Duration
	}
	for _, c := range []struct {
		name  string
		lines []line
	}{
		{"nobody is asked while renewals are answered, and the set is read each minute", []line{
			{0, renewed(0), "read", never},
			{0, SetRead{set(10, 0, 2)}, "remember", 60 * time.Second},
			{0, Alive{[]Name{web}}, "", 500 * ms},
			{400 * ms, renewed(400 * ms), "", 900 * ms},
			{60 * time.Second, renewed(60 * time.Second), "read", 60500 * ms},
			{60 * time.Second, SetFailed{}, "", 60500 * ms},
			{60400 * ms, renewed(64900 * ms), "", 65 * time.Second},
			{65 * time.Second, Tick{}, "read", 65400 * ms},
		}},
		{"all are asked when a renewal is late, and again and again, and not any more after an answer", []line{
			{0, renewed(0), "read", never},
			{0, Alive{[]Name{web}}, "", never},
			{0, SetRead{set(10, 0, 2)}, "remember", 500 * ms},
			{499 * ms, Tick{}, "", 500 * ms},
			{500 * ms, Tick{}, "ask 1 c1, ask 1 c2", 3 * time.Second},
			{510 * ms, granted("c1", 1), "remember", 3 * time.Second},
			{520 * ms, granted("c2", 1), "remember", 3 * time.Second},
			{3 * time.Second, Tick{}, "ask 2 c1, ask 2 c2", 5500 * ms},
			{3500 * ms, renewed(3500 * ms), "", 5500 * ms},
			{4 * time.Second, renewed(4 * time.Second), "", 5500 * ms},
			{5500 * ms, renewed(5500 * ms), "", 6 * time.Second},
		}},
		{"a changed set is read at once, and asked at once", []line{
			{0, renewed(0), "read", never},
			{0, Alive{[]Name{web}}, "", never},
			{0, SetChanged{}, "", never},
			{0, SetRead{set(10, 0, 1)}, "remember, read", 500 * ms},
			{0, SetRead{set(11, 0, 1)}, "remember", 500 * ms},
			{500 * ms, Tick{}, "ask 1 c1", 3 * time.Second},
			{600 * ms, SetChanged{}, "read", 3 * time.Second},
			{610 * ms, SetRead{set(12, 600*ms, 2)}, "remember, ask 2 c1, ask 2 c2", 3110 * ms},
		}},
		{"a refusal has the set read again", []line{
			{0, renewed(0), "read", never},
			{0, Alive{[]Name{web}}, "", never},
			{0, SetRead{set(10, 0, 1)}, "remember", 500 * ms},
			{500 * ms, Tick{}, "ask 1 c1", 3 * time.Second},
			{510 * ms, Answered{Answer{Version: Version, Controller: "c1", Number: 1, Reason: "no"}}, "", 3 * time.Second},
			{3 * time.Second, Tick{}, "ask 2 c1", 5500 * ms},
			{5500 * ms, Failed{"c1", 2, errors.New("refused")}, "ask 3 c1", 5510 * ms},
			{5510 * ms, Tick{}, "read", 8 * time.Second},
		}},
		{"an empty set is not asked, nor is anybody about nothing", []line{
			{0, renewed(0), "read", never},
			{0, Alive{[]Name{web}}, "", never},
			{0, SetRead{set(10, 0, 0)}, "remember", 60 * time.Second},
			{10 * time.Second, SetChanged{}, "read", never},
			{10 * time.Second, Alive{}, "", never},
			{10 * time.Second, SetRead{set(11, 10*time.Second, 1)}, "remember", 70 * time.Second},
		}},
		{"answers that count for nothing", []line{
			{0, renewed(0), "read", never},
			{0, Alive{[]Name{web}}, "", never},
			{0, SetRead{set(10, 0, 1)}, "remember", 500 * ms},
			{500 * ms, Tick{}, "ask 1 c1", 3 * time.Second},
			{510 * ms, granted("c1", 2), "", 3 * time.Second},
			{510 * ms, granted("c2", 1), "", 3 * time.Second},
			{510 * ms, Answered{Answer{Version: Version + 1, Controller: "c1", Number: 1, Millis: 10000}}, "", 3 * time.Second},
			{600 * ms, Alive{[]Name{{"web", 8}}}, "", 3 * time.Second},
			{700 * ms, granted("c1", 1), "", 3 * time.Second},
		}},
		{"who leaves is asked at once, until everything has a long promise", []line{
			{0, renewed(0), "read", never},
			{0, Alive{[]Name{web}}, "", never},
			{0, SetRead{Set{Revision: 10, Read: at(0), Controllers: []Controller{{ID: "c1", Leaving: 4}}}}, "remember, ask 1 c1", 2500 * ms},
			{10 * ms, Answered{Answer{Version: Version, Controller: "c1", Number: 1, Millis: 900000, Term: 4}}, "remember", 2500 * ms},
			{2 * time.Second, renewed(2 * time.Second), "", 2500 * ms},
			{2500 * ms, renewed(2500 * ms), "", 3 * time.Second},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := NewAsker(Options{Machine: "m1", Farewell: true})
			for i, l := range c.lines {
				if got := text(a.Step(at(l.at), l.event)); got != l.want {
					t.Fatalf("%d: at %v %T: %q, want %q", i, l.at, l.event, got, l.want)
				}
				want := at(l.next).Boot
				if l.next == never {
					want = clock.Never
				}
				if next := a.Next(); next != want {
					t.Fatalf("%d: at %v %T: next at %v, want %v", i, l.at, l.event, time.Duration(next)-time.Hour, l.next)
				}
			}
		})
	}
}

// memory has a set and asks that were sent and granted at times.
func memory(s Set, asks ...Asked) Memory { return Memory{Version: Version, Set: s, Asks: asks} }

func asked(number uint64, sent time.Duration, names []Name, by ...string) Asked {
	a := Asked{Number: number, Sent: at(sent), Names: names}
	for _, c := range by {
		a.Granted = append(a.Granted, Grant{c, Length.Milliseconds(), 0})
	}
	return a
}

func TestUntilWhenARunIsHeld(t *testing.T) {
	just := []Name{web}
	long := asked(1, 0, just)
	long.Granted = []Grant{{"c1", FarewellLength.Milliseconds(), 4}}
	limited := set(10, 0, 2)
	limited.Controllers[1].MaxHold = 60
	for _, c := range []struct {
		name string
		m    Memory
		from time.Duration // that the promise counts from
		held bool
	}{
		{"everybody has promised", memory(set(10, 0, 2), asked(1, time.Second, just, "c1", "c2")), time.Second, true},
		{"somebody has not", memory(set(10, 0, 3), asked(1, time.Second, just, "c1", "c2")), 0, false},
		{"nobody is there to promise", memory(set(10, 0, 0), asked(1, time.Second, just, "c1", "c2")), 0, false},
		{"nobody was asked about it", memory(set(10, 0, 1), asked(1, time.Second, []Name{{"web", 6}}, "c1")), 0, false},
		{"the oldest of the newest counts", memory(set(10, 0, 2), asked(1, 0, just, "c1", "c2"), asked(2, 2*time.Second, just, "c1", "c2"),
			asked(3, 4*time.Second, just, "c2")), 2 * time.Second, true},
		{"somebody who was forgotten does not count", memory(set(10, 0, 1), asked(1, 0, just, "c2"), asked(2, 2*time.Second, just, "c1")), 2 * time.Second, true},
		{"a set counts no longer than this", memory(set(10, 0, 1), asked(1, DefaultMaxHold-time.Second, just, "c1")), DefaultMaxHold - Length, true},
		{"nor for a long promise", memory(set(10, 0, 1), long), DefaultMaxHold - Length, true},
		{"the least that its controllers say", memory(limited, asked(1, 55*time.Second, just, "c1", "c2")), 50 * time.Second, true},
		{"a memory of another version", Memory{Version: Version + 1, Set: set(10, 0, 1), Asks: []Asked{asked(1, 0, just, "c1")}}, 0, false},
	} {
		d, held := c.m.Deadline(web)
		want := at(c.from).Plus(Length - Length/12 - deadline.ActTime)
		if held != c.held || held && d != want {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, time.Duration(d.Boot)-time.Hour, held, time.Duration(want.Boot)-time.Hour, c.held)
		}
	}
}

func TestAHoldProlongsOnlyWhatHasNotEnded(t *testing.T) {
	m := memory(set(10, 0, 1), asked(1, time.Second, []Name{web}, "c1"))
	promised, _ := m.Deadline(web)
	further := at(time.Minute).Plus(0)
	for _, c := range []struct {
		name              string
		now               time.Duration
		held, stood, want deadline.Deadline
	}{
		{"in time", time.Second, deadline.Deadline{}, lease(0), promised},
		{"too late", 1700 * ms, deadline.Deadline{}, lease(0), deadline.Deadline{}},
		{"a hold goes on when the lease has ended", 5 * time.Second, at(8 * time.Second).Plus(0), at(8 * time.Second).Plus(0), promised},
		{"what was promised once lasts", time.Second, further, further, further},
	} {
		if got := m.Prolong(at(c.now), web, c.held, c.stood, nil); got != c.want {
			t.Errorf("%s: %v", c.name, time.Duration(got.Boot)-time.Hour)
		}
	}
	if got := (Memory{Version: Version, Set: set(11, 0, 2), Asks: m.Asks}).Prolong(at(time.Second), web, promised, promised, nil); got != promised {
		t.Error("a set that has grown took a promise back")
	}
}

func TestAnAskerGoesOnFromTheMemoryOfAnotherOne(t *testing.T) {
	m := memory(set(10, 0, 1), asked(7, 0, []Name{web}, "c1"))
	a := NewAsker(Options{Machine: "m1", Uncontained: true, Memory: m})
	a.Step(at(time.Second), renewed(0))
	if got := text(a.Step(at(time.Second), Alive{[]Name{web}})); got != "ask 8 c1" {
		t.Errorf("%q", got)
	}
	if !reflect.DeepEqual(a.Memory(), m) {
		t.Errorf("%+v", a.Memory())
	}
	m.Version++
	if got := NewAsker(Options{Memory: m}).Memory(); got.Version != Version || len(got.Asks) > 0 {
		t.Errorf("a memory of another version gave %+v", got)
	}
}

func TestWhatEndedAndCameBackIsNotHeldByWhatWasPromisedBefore(t *testing.T) {
	other := Name{"db", 3}
	a := NewAsker(Options{Memory: memory(set(10, 0, 1), asked(7, 0, []Name{other, web}, "c1"))})
	a.Step(at(time.Second), Alive{[]Name{web, other}})
	if _, held := a.Memory().Deadline(web); !held {
		t.Fatal("it was not held at all")
	}
	a.Step(at(time.Second), Alive{[]Name{other}})
	a.Step(at(time.Second), Alive{[]Name{web, other}})
	if _, held := a.Memory().Deadline(web); held {
		t.Error("it is held still")
	}
	if _, held := a.Memory().Deadline(other); !held {
		t.Error("another one is held no more")
	}
}

func TestAMemoryStaysSmall(t *testing.T) {
	a := NewAsker(Options{})
	a.Step(at(0), SetRead{set(10, 0, 2)})
	a.Step(at(0), renewed(-time.Second))
	for passed := time.Duration(0); passed < time.Minute; passed += 100 * ms {
		effects := a.Step(at(passed), Tick{})
		if passed == 0 {
			effects = a.Step(at(passed), Alive{[]Name{web}})
		}
		for _, e := range effects {
			if send, ok := e.(Send); ok && (send.To.ID == "c1" || send.Ask.Number%3 == 0) {
				a.Step(at(passed), granted(send.To.ID, send.Ask.Number))
			}
		}
		if n := len(a.Memory().Asks); n > 4 {
			t.Fatalf("after %v it remembers %d asks", passed, n)
		}
		if d, held := a.Memory().Deadline(web); passed > 8*time.Second && (!held || at(passed).Passed(d)) {
			t.Fatalf("after %v: %v, %v", passed, d, held)
		}
	}
	if f := a.Failure("c1"); f != "" {
		t.Error(f)
	}
}
