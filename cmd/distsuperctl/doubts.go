package main

import (
	"context"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

// leasesAsked is the most leases that are looked at for one command, and leasesAtOnce how many at a time.
const (
	leasesAsked  = 64
	leasesAtOnce = 16
)

// doubts says of processes what a snapshot alone does not: that what their machine told of them is old, since it is silent; and that
// the controller for which they wait does not run. Processes of which there is nothing to say are not in it.
func (c *ctl) doubts(ctx context.Context, snap *client.Snapshot, processes []string) map[string]string {
	out := map[string]string{}
	waits, touched := []string{}, map[store.LeaseID][]client.Process{}
	for _, name := range processes {
		p := snap.Process(name)
		switch {
		case p == nil:
		case p.Awaits.Controller(), p.Owner != nil && p.Owner.WaitingFor != api.WaitingForNothing: // as the leader said when it last looked
			waits = append(waits, name)
		case p.Touch != nil && (len(touched) < leasesAsked || touched[p.Lease] != nil):
			touched[p.Lease] = append(touched[p.Lease], *p)
		}
	}
	if len(waits) > 0 {
		if why := c.nobodyActs(ctx); why != "" {
			for _, name := range waits {
				out[name] = why
			}
		}
	}
	for lease, since := range c.silent(ctx, touched) {
		for _, p := range touched[lease] {
			if p.Live {
				out[p.Name] = p.Owner.Machine + " has been silent " + client.Since(since, time.Now())
			} else {
				out[p.Name] = "silent since " + since.Local().Format("15:04:05")
			}
		}
	}
	return out
}

// nobodyActs says why no controller does anything now; "" when one can, or that cannot be found out.
func (c *ctl) nobodyActs(ctx context.Context) string {
	leader, _, err := c.election(ctx)
	switch {
	case err != nil:
		return ""
	case leader == "":
		return "no controller leads now, see distsuperctl controllers"
	case c.etcdIsFull(ctx):
		return "nothing can be placed while etcd is full"
	}
	return ""
}

// silentMachines says since when machines are silent that still count as live. It is known of those that hold a process.
func (c *ctl) silentMachines(ctx context.Context, snap *client.Snapshot) map[string]time.Time {
	touched := map[store.LeaseID][]client.Process{}
	for _, m := range snap.Machines() {
		held := m.Touches()
		if m.Alive == nil || len(held) == 0 || len(touched) == leasesAsked {
			continue
		}
		if p := snap.Process(held[0]); p != nil && p.Live && p.Touch != nil && p.Owner.Machine == m.Name {
			touched[p.Lease] = []client.Process{*p}
		}
	}
	out := map[string]time.Time{}
	for lease, since := range c.silent(ctx, touched) {
		out[touched[lease][0].Owner.Machine] = since
	}
	return out
}

// silent says since when the leases have not been renewed that should have been.
func (c *ctl) silent(ctx context.Context, touched map[store.LeaseID][]client.Process) map[store.LeaseID]time.Time {
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots, found := make(chan struct{}, leasesAtOnce), map[store.LeaseID]time.Time{}
	for lease, processes := range touched {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if since, ok := c.client.SilentSince(ctx, processes[0]); ok {
				mu.Lock()
				defer mu.Unlock()
				found[lease] = since
			}
		})
	}
	wg.Wait()
	return found
}

func processNames(rows []row) []string {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Name
	}
	return names
}

// with adds a remark to a text.
func with(text, remark string) string {
	if text == "" || remark == "" {
		return text + remark
	}
	return text + ", " + remark
}
