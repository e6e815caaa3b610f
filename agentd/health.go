package agentd

import (
	"fmt"
	"slices"
	"strings"
)

// Health is how an agent is, for people and for its HTTP side.
type Health struct {
	Machine  string `json:"machine"`
	Instance string `json:"instance,omitempty"`
	// Connected: etcd answers. Claimed: the alive key carries our instance.
	Connected bool `json:"connected"`
	Claimed   bool `json:"claimed"`
	Draining  bool `json:"draining,omitempty"`
	Drained   bool `json:"drained,omitempty"`
	Runs      int  `json:"runs"`
	Leases    int  `json:"leases"`
	// Problem says what is wrong and what it means; "" is well.
	Problem string `json:"problem,omitempty"`
}

const notClaimed = "the machine's name is not claimed yet"

func (l *loop) health() Health {
	h := Health{Machine: l.machine, Instance: l.hello.Instance, Connected: l.connected, Claimed: l.own.claimed,
		Draining: l.own.leaving, Drained: l.own.told, Leases: len(l.leases.held), Problem: l.problem()}
	for _, p := range l.procs {
		if p.run != nil {
			h.Runs++
		}
	}
	return h
}

func (l *loop) problem() string {
	switch {
	case l.behind != nil:
		return fmt.Sprintf("etcd is behind what was seen before, so nothing is started or renewed: %v", l.behind)
	case l.silent != nil:
		return fmt.Sprintf("the keeper does not answer: %v", l.silent)
	case !l.connected:
		return "etcd does not answer: processes go on, and each ends at the deadline of its lease unless its on_partition is keep"
	case l.refused != nil:
		return fmt.Sprintf("etcd refuses to be written: %v", l.refused)
	case l.own.namesake != "":
		return "waiting until the lease of an earlier agent of this host under the same machine name has run out"
	case !l.own.claimed && !l.own.leaving:
		return notClaimed
	}
	var broken []string
	for _, p := range l.procs {
		for key := range p.broken {
			broken = append(broken, key)
		}
	}
	if len(broken) > 0 {
		slices.Sort(broken)
		return "keys that cannot be read: " + strings.Join(broken, ", ")
	}
	return ""
}
