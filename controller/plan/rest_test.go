package plan

import (
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
)

// What a newer version wrote of a run, a machine or a loss is not for this version to drop.
func TestWhatALeaderDoesNotKnowGoesOnInWhatItWrites(t *testing.T) {
	const rest = api.Rest(`{"newer":1}`)
	m := fleet(t)
	m.program("p", 1)
	m.want("p")
	m.run()
	first := m.where("p")
	m.change(func(v *View, rev int64) {
		o := *v.Processes["p"].Owner
		o.Value.Rest, o.Rev = rest, rev
		v.SetOwner("p", &o)
	})
	m.want("p", func(i *api.Intent) { i.Moves++ })
	m.run()
	if o := m.v.Processes["p"].Owner.Value; m.where("p") == first || o.Rest != rest {
		t.Errorf("moved to %s, the owner carries %q", o.Machine, o.Rest)
	}
	if tr := failedAgain(api.Trouble{Rest: rest}, "why", m.in.Wall); tr.Rest != rest || tr.Tries != 1 {
		t.Errorf("trouble: %+v", tr)
	}
	on := m.where("p")
	pl := *m.v.Processes["p"].slot(on).Placement
	pl.Value.Rest = rest
	m.change(func(v *View, rev int64) { pl.Rev = rev; v.SetPlacement(on, "p", &pl) })
	d := &decider{v: m.v, in: m.in}
	if a := d.settings(m.v.Processes["p"]).Action; a.Put.Rest != rest {
		t.Errorf("placement: %+v", a.Put)
	}
	lost := m.where("x")
	m.change(func(v *View, rev int64) {
		v.SetLosses(lost, &api.Stored[api.Losses]{Value: api.Losses{Count: 1, Rest: rest}, Rev: rev})
	})
	m.expire(lost)
	if l := m.v.TakeLosses(m.in.Wall); len(l) != 1 || l[0].Losses.Rest != rest {
		t.Errorf("losses: %+v", l)
	}
}
