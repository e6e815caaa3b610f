package plan

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// write has the store take what the leader writes of lost machines, and returns it.
func (m *model) writeLosses() []Loss {
	losses := m.v.TakeLosses(m.in.Wall)
	for _, l := range losses {
		m.change(func(v *View, rev int64) { v.SetLosses(l.Machine, &api.Stored[api.Losses]{Value: l.Losses, Rev: rev}) })
	}
	return losses
}

// lose has a machine vanish and return.
func (m *model) lose(name string) {
	m.alive(name, "")
	m.writeLosses()
	m.alive(name, "i-"+name)
}

func TestLossesInARowAreCountedAndWaitedOutLonger(t *testing.T) {
	m := fleet(t)
	for i, want := range []int{10, 20, 40, 80, 160, 320, 600, 600} {
		m.pass(time.Minute)
		m.alive("m2", "")
		got := m.writeLosses()
		if len(got) != 1 || got[0].Machine != "m2" || got[0].Losses.Count != i+1 || got[0].Losses.Wait != want {
			t.Fatalf("loss %d: %+v, want a wait of %d s", i+1, got, want)
		}
		m.alive("m2", "i-m2")
		over := time.Duration(want) * time.Second
		if m2 := m.v.Machines["m2"]; m2.lately(m.in.Now.Add(over-1), m.in.Wall) != i+1 || m2.lately(m.in.Now.Add(over), m.in.Wall) != 0 {
			t.Fatalf("loss %d does not count for %v", i+1, over)
		}
	}
	m.pass(lossCalm)
	m.alive("m2", "i-another") // its keeper died
	if got := m.writeLosses(); len(got) != 1 || got[0].Losses.Count != 1 {
		t.Fatalf("after a calm: %+v, want one loss", got)
	}
}

func TestAMachineThatLeavesOrThatAnotherLeaderWroteOfIsNoLoss(t *testing.T) {
	m := fleet(t)
	m.change(func(v *View, rev int64) { // in one revision
		v.SetAlive("m2", nil, m.in.Now)
		v.SetInfo("m2", &api.Stored[api.MachineInfo]{Value: api.MachineInfo{Name: "m2", Leaving: true}, Rev: rev})
	})
	if got := m.writeLosses(); len(got) != 0 {
		t.Errorf("a machine that left: %+v", got)
	}
	m.alive("m3", "")
	m.change(func(v *View, rev int64) {
		v.SetLosses("m3", &api.Stored[api.Losses]{Value: api.Losses{Count: 1}, Rev: rev})
	})
	if got := m.writeLosses(); len(got) != 0 {
		t.Errorf("written by another leader: %+v", got)
	}
}

func TestWhatIsPlacedAvoidsAMachineThatWasLostLately(t *testing.T) {
	place := func(m *model) string {
		m.program("y", 1)
		m.want("y")
		m.run()
		return m.where("y")
	}
	for _, c := range []struct {
		name string
		set  func(m *model)
		want string
	}{
		{"the emptiest is avoided", func(m *model) { m.lose("m2") }, "m3"},
		{"until its wait is over", func(m *model) { m.lose("m2"); m.pass(lossWait) }, "m2"},
		{"all were lost: as if none was", func(m *model) { m.lose("m1"); m.lose("m2"); m.lose("m3") }, "m2"},
		{"where no other can take it, it does", func(m *model) { m.lose("m2"); m.cordon("m1", false); m.cordon("m3", false) }, "m2"},
		{"where all were, the one that was least often", func(m *model) {
			m.lose("m1")
			m.lose("m3")
			m.lose("m2")
			m.lose("m2")
		}, "m3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := fleet(t)
			c.set(m)
			if got := place(m); got != c.want {
				t.Errorf("on %q, want %q", got, c.want)
			}
		})
	}
}

// A process whose machine was lost goes to one that was not, though that has more to do; asked for, it goes where it is sent.
func TestWhoseMachineWasLostGoesToASteadyOne(t *testing.T) {
	m := fleet(t)
	m.lose("m2")
	m.expire("m1")
	m.writeLosses()
	m.run()
	if on := m.where("x"); on != "m3" {
		t.Fatalf("on %q, want m3", on)
	}
	m.touch("x")
	m.want("x", wantMove("m2"))
	m.run()
	m.release("x", api.Stopped)
	m.run()
	if on := m.where("x"); on != "m2" {
		t.Fatalf("on %q, want m2, which was asked for", on)
	}
}

// Machines that die one after the other, and are started again, are not taken for a store that stood still.
func TestMachinesThatAreBackCountAsLostOnlyWithThoseThatWereLostTogether(t *testing.T) {
	for _, c := range []struct {
		name          string
		between       time.Duration
		lost, missing int
	}{
		{"together", 0, 2, 1},
		{"almost", lostTogether, 2, 1},
		{"one after the other", lostTogether + 1, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := fleet(t)
			m.alive("m1", "")
			m.alive("m1", "i-m1")
			m.pass(c.between)
			m.alive("m2", "")
			if lost, missing := m.v.LostSince(m.in.Now.Add(-3 * time.Second)); lost != c.lost || missing != c.missing {
				t.Errorf("%d lost, %d missing, want %d and %d", lost, missing, c.lost, c.missing)
			}
			m.alive("m2", "i-m2")
			if lost, missing := m.v.LostSince(m.in.Now.Add(-3 * time.Second)); lost+missing != 0 {
				t.Errorf("all are back, and %d are lost, %d missing", lost, missing)
			}
		})
	}
}

// From the second loss in a row on, a machine that is the only one gets half at first, then more and more, and everything in the end,
// which is not later because it was lost more often.
func TestAMachineThatIsLostAgainAndAgainIsFilledBitByBit(t *testing.T) {
	const processes = 20
	for _, losses := range []int{2, 5} {
		m := newModel(t)
		m.machine("m1")
		m.machine("m2")
		m.cordon("m2", false)
		m.program("p", processes, func(p *api.Program) { p.OnPartition = api.PartitionStop })
		m.wantAll()
		m.settle(always)
		lose := func(name string) {
			m.expire(name)
			m.writeLosses()
		}
		m.alive("m2", "")
		m.writeLosses()
		m.change(func(v *View, _ int64) { v.SetCordon("m2", nil) })
		m.alive("m2", "i-m2") // lost once: it gets everything
		lose("m1")
		m.settle(always)
		if n := m.running("m2"); n != processes {
			t.Fatalf("after one loss %d run on m2", n)
		}
		for range losses - 1 {
			lose("m2")
			m.change(func(v *View, _ int64) { v.Machines["m2"].Losses.Value.Carried = processes })
			m.alive("m2", "i2-m2")
		}
		if n := m.v.Machines["m2"].Losses.Value.Count; n != losses {
			t.Fatalf("it was lost %d times", n)
		}
		for _, c := range []struct {
			passed time.Duration
			want   int
		}{{0, processes / 2}, {fillTime / 2, processes / 2}, {fillTime * 3 / 4, processes * 3 / 4}, {fillTime, processes}} {
			m.in.Now = m.v.Machines["m2"].AliveSince.Add(c.passed)
			m.in.Leases[7] = LeaseAnswer{Gone: true, At: m.in.Now}
			m.settle(always)
			if n := m.running("m2"); n != c.want {
				t.Errorf("lost %d times, after %v %d run on m2, want %d", losses, c.passed, n, c.want)
			}
		}
	}
}
