package controller

import (
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/promise"
)

// Held are the runs that live machines could hold by promise, by machine: they are touched, fenced, and not taken out of it by
// on_store_outage.
func (c *Controller) Held() map[string][]promise.Name {
	held := map[string][]promise.Name{}
	v := c.View()
	for p := range v.Processes() {
		for _, s := range p.Slots {
			m := v.Machine(s.Machine)
			if s.Touch == nil || s.Status == nil || s.Placement == nil || m == nil || !m.LiveAs(s.Touch.Value.Instance) {
				continue
			}
			if t := s.Touch.Value.Token; s.Status.Value.OnPartition == api.PartitionStop && s.Status.Value.Token == t &&
				s.Placement.Value.Token == t && s.Placement.Value.Process.OnStoreOutage != api.OutageStop {
				held[s.Machine] = append(held[s.Machine], promise.Name{Process: p.ID, Token: t})
			}
		}
	}
	return held
}
