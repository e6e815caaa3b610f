package chaos

import (
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/test/witness"
)

// What a hold survives.
const (
	// brief is how long daemons may be away: promises last for twice that, and are asked for every askEvery.
	brief    = 5 * time.Second
	askEvery = 2500 * time.Millisecond
)

// ended is which copies of a process ended because all of etcd was away. An outage stops nothing: a copy that lived when it began, and
// that should run, lives until the next burst begins, unless its machine was lost, or a controller that has to promise was. Restarts of
// the agent or of controllers do not count as a loss as long as they are brief.
func (v *Verdict) ended(h History, id string, copies []witness.Copy) {
	all, wanted := troubles(h.Events), spans(h.Events, id, Wanted)
	runs := bursts(h.Events)
	for _, b := range runs {
		for _, o := range all {
			if kinds[o.kind].family != outages || o.from < b.from || o.from >= b.until {
				continue
			}
			for _, c := range copies {
				lived := c.Part == witness.MainPart && c.Start < o.from && c.Last >= o.from
				should := slices.ContainsFunc(wanted, func(w span) bool { return w.from <= o.from && w.to >= c.Last })
				if !lived || !should || c.Last >= b.until || lost(all, c.Machine, span{b.from, c.Last}) {
					continue
				}
				v.in(runs, o.from).Ended++
				v.Ended = append(v.Ended, fmt.Sprintf("%s on %s ended %v after %s began, though every controller could promise to leave it alone", id, c.Machine,
					time.Duration(c.Last-o.from).Round(time.Millisecond), o.kind))
			}
		}
	}
}

// lost reports whether a machine, or a controller that it asks, was lost within a time, for longer than a hold survives.
func lost(all []trouble, machine string, within span) bool {
	var brieflyAway []span
	for _, t := range all {
		k := kinds[t.kind]
		own := t.host == machine || t.far == machine
		switch {
		case k.family == outages || t.from > within.to || t.to < within.from: // another time
		case !own && (k.local || !votes(t.host) && !votes(t.far)): // another machine
		case !k.gentle:
			return true
		case k.family == stopped || k.family == killed:
			brieflyAway = append(brieflyAway, t.span)
		}
	}
	sortBy(brieflyAway, func(s span) int64 { return s.from })
	for i := 0; i < len(brieflyAway); i++ { // those that follow one another without an answer in between are one
		whole := brieflyAway[i]
		for i+1 < len(brieflyAway) && brieflyAway[i+1].from <= whole.to+int64(askEvery) {
			i++
			whole.to = max(whole.to, brieflyAway[i].to)
		}
		if whole.to-whole.from > int64(brief) {
			return true
		}
	}
	return false
}

// votes reports whether a host has a distsuperd.
func votes(host string) bool {
	for i := range Voters {
		if hostName(i) == host {
			return true
		}
	}
	return false
}
