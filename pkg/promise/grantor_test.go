package promise

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

var (
	here = api.HostIdentity{Name: "a", BootID: "b1", MachineID: "m", Hardware: "h", Directory: "1:2"}
	web  = Name{"web", 7}
)

// at is d after the beginning of a test, whose clocks stood at different times.
func at(d time.Duration) deadline.Moment {
	return deadline.Moment{Boot: clock.Instant(time.Hour + d), Raw: int64(time.Minute + d)}
}

// asking is an ask of the controller c1 about web.
func asking(set int64) Ask {
	return Ask{Version: Version, Controller: "c1", Machine: "m1", Number: 3, Set: set, Names: []Name{web}}
}

// disk is what a Grantor of a test has on disk.
type disk struct {
	*Grantor
	Record
}

func (d *disk) write(r *Record) {
	if r != nil {
		d.Record = *r
		d.Wrote(*r)
	}
}

func (d *disk) answer(now deadline.Moment, a Ask) Answer {
	answer, r := d.Answer(now, a)
	d.write(r)
	return answer
}

func (d *disk) register(r Registration) { d.write(d.Registered(r)) }

// again is the next life of a controller on a host.
func (d *disk) again(host api.HostIdentity, now deadline.Moment) *disk {
	return &disk{NewGrantor("c1", host, d.Record, now), d.Record}
}

// only is a controller that was the first of its key space.
func only() *disk {
	d := &disk{Grantor: NewGrantor("c1", here, Record{}, at(0))}
	d.register(Registration{Revision: 10, Entry: 10, Incarnation: "i1", First: true, Answered: at(0)})
	return d
}

// back is the registration of its next life.
func back(now time.Duration) Registration {
	return Registration{Revision: 20, Entry: 10, Incarnation: "i2", Replaced: "i1", Answered: at(now)}
}

func forbidden(t *testing.T, g *disk, now time.Duration, want Kind) {
	t.Helper()
	if got := g.Forbids(at(now), "m1", web, 4); got.Kind != want {
		t.Errorf("after %v: %+v, want kind %d", now, got, want)
	}
}

func TestAPromiseIsKeptForLongerThanItIsCountedOn(t *testing.T) {
	d := only()
	forbidden(t, d, 0, Free)
	if a := d.answer(at(0), asking(10)); a.Promised() != Length || a.Number != 3 || a.Controller != "c1" || a.Version != Version {
		t.Fatalf("%+v", a)
	}
	lasts := Length + Length/12 + 100*time.Millisecond
	forbidden(t, d, lasts-1, Promised)
	forbidden(t, d, lasts, Free)
	if o := d.Forbids(at(time.Second), "m1", Name{"web", 8}, 4); o.Kind != Free {
		t.Errorf("another token: %+v", o)
	}
	if o := d.Forbids(at(time.Second), "m2", web, 4); o.Kind != Free {
		t.Errorf("what another machine asked for binds: %+v", o)
	}
	if o := d.Forbids(deadline.Moment{Boot: at(time.Hour).Boot, Raw: at(lasts - 1).Raw}, "m1", web, 4); o.Kind != Promised {
		t.Error("the clock that is ahead ended it")
	}
	d.answer(at(time.Minute), asking(10))
	d.answer(at(time.Minute+5*time.Second), asking(10))
	forbidden(t, d, time.Minute+lasts, Promised)
	uncontained := asking(10)
	uncontained.Uncontained = true
	d.answer(at(2*time.Minute), uncontained)
	forbidden(t, d, 2*time.Minute+lasts+deadline.TreeTime-1, Promised)
}

func TestAnAskThatIsRefused(t *testing.T) {
	change := func(f func(*Ask)) Ask {
		a := asking(10)
		f(&a)
		return a
	}
	for name, a := range map[string]Ask{
		"of another version":    change(func(a *Ask) { a.Version++ }),
		"of another controller": change(func(a *Ask) { a.Controller = "c2" }),
		"with an older set":     asking(9),
	} {
		d := only()
		if answer := d.answer(at(0), a); answer.Promised() != 0 || answer.Reason == "" {
			t.Errorf("%s: %+v", name, answer)
		}
		forbidden(t, d, 0, Free)
	}
}

func TestAnAcknowledgedRegistrationIsRemembered(t *testing.T) {
	d := only()
	r := d.Acknowledge(15)
	if r == nil || d.Vouches(at(0)) != 10 {
		t.Fatalf("vouches for %d before the disk has it", d.Vouches(at(0)))
	}
	if a := d.answer(at(0), asking(14)); a.Promised() != 0 {
		t.Error("an older set got a promise")
	}
	d.write(r)
	if d.Vouches(at(0)) != 15 || d.Acknowledge(15) != nil || d.Acknowledge(12) != nil {
		t.Errorf("vouches for %d", d.Vouches(at(0)))
	}
	d = d.again(here, at(time.Minute))
	if a := d.answer(at(time.Minute), asking(14)); a.Promised() != 0 {
		t.Error("its next life promised to who has an older set")
	}
	if a := d.answer(at(time.Minute), asking(15)); a.Promised() != Length {
		t.Errorf("its next life refuses: %+v", a)
	}
}

func TestTheDiskKnowsOfPromisesBeforeTheyAreGiven(t *testing.T) {
	d := only()
	answer, r := d.Answer(at(0), asking(10))
	if answer.Promised() == 0 || r == nil || !(at(10930*time.Millisecond).Wanting(r.Out) > 0) {
		t.Fatalf("%+v, %+v", answer, r)
	}
	if _, again := d.Answer(at(time.Second), asking(10)); again == nil {
		t.Error("what could not be written was given up")
	}
	d.write(r)
	if _, again := d.Answer(at(time.Second), asking(10)); again != nil {
		t.Error("each promise is written")
	}
	if _, again := d.Answer(at(time.Minute+10*time.Second), asking(10)); again == nil {
		t.Error("later ones are not")
	}
}

func TestARestartedControllerWaits(t *testing.T) {
	wait := (Length+deadline.TreeTime)*13/12 + 100*time.Millisecond
	gone := func(f func(*disk)) *disk {
		d := only()
		f(d)
		return d
	}
	promised := func(d *disk) { d.answer(at(0), asking(10)) }
	counting, shifted, booted := here, here, here
	counting.Clocks, shifted.Clocks, booted.BootID = "boottime 0 0", "boottime 5 0", "b2"
	elsewhere := gone(promised)
	elsewhere.Record.Host = counting
	for name, c := range map[string]struct {
		left  *disk
		host  api.HostIdentity
		start time.Duration
		waits bool
	}{
		"promises may be out":   {gone(promised), here, 2 * time.Second, true},
		"they are over":         {gone(promised), here, 5 * time.Minute, false},
		"none was ever given":   {gone(func(*disk) {}), here, 2 * time.Second, false},
		"the host booted again": {gone(func(*disk) {}), booted, 2 * time.Second, true},
		"its clocks are others": {elsewhere, shifted, 5 * time.Minute, true},
	} {
		d := c.left.again(c.host, at(c.start))
		d.register(back(c.start))
		if !c.waits {
			forbidden(t, d, c.start, Free)
			continue
		}
		t.Log(name)
		forbidden(t, d, c.start, Starting)
		forbidden(t, d, c.start+wait-1, Starting)
		forbidden(t, d, c.start+wait, Free)
	}
}

func TestWhoMayBeAMember(t *testing.T) {
	booted, copied, cloned := here, here, here
	moved := here
	moved.BootID, moved.Directory = "b2", "1:3"
	booted.BootID, copied.Directory, cloned.BootID, cloned.Hardware = "b2", "1:3", "b3", "h2"
	reg := func(change func(*Registration)) Registration {
		r := back(0)
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		host   api.HostIdentity
		r      Registration
		member bool
	}{
		"the next life on the same host":         {here, back(0), true},
		"after a reboot":                         {booted, back(0), true},
		"a copied state directory":               {copied, back(0), false},
		"a copy, after a reboot":                 {moved, back(0), false},
		"a clone of the host":                    {cloned, back(0), false},
		"its entry was removed since":            {here, reg(func(r *Registration) { r.Entry, r.Replaced = 20, "" }), false},
		"another one replaced its entry since":   {here, reg(func(r *Registration) { r.Replaced = "i9" }), false},
		"removed, and put again by somebody":     {here, reg(func(r *Registration) { r.Entry = 15 }), false},
		"the first of the key space, on no disk": {copied, reg(func(r *Registration) { r.Entry, r.Replaced, r.First = 20, "", true }), true},
	} {
		d := only().again(c.host, at(0))
		d.register(c.r)
		if member := d.NewcomerLeft(at(0)) == 0; member != c.member {
			t.Errorf("%s: a member: %v", name, member)
		}
	}
}

func TestANewcomerWaitsUntilNobodyCountsOnASetWithoutIt(t *testing.T) {
	fresh := func() *disk {
		d := &disk{Grantor: NewGrantor("c1", here, Record{}, at(-time.Hour/2))}
		forbidden(t, d, 0, Newcomer)
		d.register(Registration{Revision: 20, Entry: 20, Incarnation: "i1", Answered: at(0), MaxHold: 20 * time.Minute})
		return d
	}
	d, whole := fresh(), NewcomerWait(20*time.Minute)*13/12
	forbidden(t, d, whole, Newcomer)
	if d.Settle(at(whole)) != nil || d.Vouches(at(whole)) != 0 {
		t.Error("it is a member too early")
	}
	forbidden(t, d, whole+time.Second, Free)
	d.write(d.Settle(at(whole + time.Second)))
	if d.Settle(at(whole+time.Second)) != nil || !d.Record.Member {
		t.Error("its disk does not know")
	}

	d = fresh()
	d.Vouched(at(time.Second), 19)
	forbidden(t, d, time.Minute, Newcomer)
	d.Vouched(at(time.Minute), 20)
	d.Vouched(at(time.Minute+time.Second), 21)
	forbidden(t, d, time.Minute, Newcomer)
	forbidden(t, d, time.Minute+Length*13/12, Newcomer)
	forbidden(t, d, time.Minute+(Length+deadline.TreeTime)*13/12+100*time.Millisecond, Free)

	d = fresh()
	d.Vouched(at(0), 20)
	d.register(Registration{Revision: 30, Entry: 30, Incarnation: "i1", Answered: at(time.Hour)})
	forbidden(t, d, time.Hour, Newcomer)
}

func TestAFarewellOutlivesAReboot(t *testing.T) {
	d := only()
	d.Leave(4)
	if a := d.answer(at(0), asking(10)); a.Promised() != Length || d.Gave("m1", web) {
		t.Fatalf("to whom it would not end: %+v", a)
	}
	knows := asking(10)
	knows.Farewell = true
	if a := d.answer(at(0), knows); a.Promised() != FarewellLength || a.Term != 4 || !d.Gave("m1", web) {
		t.Fatalf("%+v", a)
	}
	d.Leave(0)
	d.answer(at(0), asking(10))
	forbidden(t, d, FarewellLength, Promised)
	if d.Vouches(at(FarewellLength)) != 0 || d.Vouches(at(FarewellLength*13/12+time.Second)) != 10 {
		t.Error("it vouches for a newcomer that acts before its long promises are over")
	}
	next := d.again(here, at(time.Minute))
	next.register(back(time.Minute))
	forbidden(t, next, FarewellLength*13/12, Promised)
	forbidden(t, next, FarewellLength*13/12+time.Second, Free)
	if o := next.Forbids(at(time.Minute+20*time.Second), "m1", web, 5); o.Kind != Free {
		t.Errorf("the touch was on a lease that was granted after etcd was back: %+v", o)
	}

	booted := here
	booted.BootID = "b2"
	next = d.again(booted, at(-time.Hour))
	if a := next.answer(at(-time.Hour), asking(10)); a.Promised() != 0 {
		t.Error("after a reboot it promises before it knows who has registered")
	}
	next.register(back(-time.Hour))
	forbidden(t, next, -time.Hour+time.Minute, Promised)
	forbidden(t, next, -time.Hour+FarewellLength*13/12, Promised)
	if a := next.answer(at(-time.Hour), asking(20)); a.Promised() != Length {
		t.Errorf("%+v", a)
	}
}

// The longest hold of a machine with slow clocks ends before a newcomer with fast ones, who registered just after the set was read, is a member.
func TestNoHoldOutlastsTheWaitOfANewcomer(t *testing.T) {
	for _, seconds := range []int64{60, 720, 3600} {
		s := Set{Controllers: []Controller{{ID: "c1", MaxHold: seconds}}}
		lives := float64(s.Limit().Boot) * 12 / 11
		waits := float64(deadline.Wait(deadline.Moment{}, NewcomerWait(s.MaxHold())).Boot) * 12 / 13
		if left := time.Duration(waits - lives); left < deadline.ActTime {
			t.Errorf("max_hold %d: %v apart", seconds, left)
		}
	}
}
