package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: a fleet in which nothing changes writes nothing: the revision stands, no lease comes or goes, and what is
// renewed counts machines, not processes.
func TestAnIdleFleetWritesNothing(t *testing.T) {
	t.Parallel()
	t.Run("embedded etcd", func(t *testing.T) { idle(t, start(t, 1, 3), 20*time.Second) })
}

func TestAnIdleFleetWritesNothingForAMinuteLong(t *testing.T) {
	gate.Long(t)
	t.Run("embedded etcd", func(t *testing.T) { t.Parallel(); idle(t, start(t, 2, 3), time.Minute) })
	t.Run("etcd of the distribution", func(t *testing.T) {
		t.Parallel()
		etcd := etcdproc.Start(t, 1)
		idle(t, start(t, 2, 3, func(o *fleet.Options) { o.Endpoints = etcd.Endpoints() }), time.Minute)
	})
}

func idle(t *testing.T, f *fixture, window time.Duration) {
	t.Helper()
	const n, machines = 50, 3
	p := f.many("w", n, "-beat", "1s")
	p.TouchTimeout = calm
	f.run(n, p)
	// A host that stalls for seconds makes leases run out, and that is written. What a fleet writes by itself it
	// writes in every window.
	var complaint string
	for range 3 {
		f.until("what was begun has been told in full", f.quiet)
		if complaint = f.window(n, machines, window); complaint == "" {
			return
		}
		t.Log(complaint)
	}
	t.Error(complaint)
}

// window looks at an idle fleet for a time, and returns what was not idle.
func (f *fixture) window(n, machines int, d time.Duration) string {
	f.t.Helper()
	lives, before, rev := f.lives(), f.counters(), f.all().Rev
	changed := f.watchStore(rev+1, d)
	after, now := f.counters(), f.all().Rev
	rise := func(what string) float64 {
		name := "etcd_debugging_lease_" + what + "_total"
		return after[name] - before[name]
	}
	perSecond := rise("renewed") / d.Seconds()
	f.t.Logf("%.1f renewals a second for %d processes on %d machines and %d controllers", perSecond, n, machines, len(f.Controllers))
	switch {
	case now != rev || len(changed) > 0:
		return fmt.Sprintf("the store's revision moved from %d to %d in %v without a change; written: %v", rev, now, d, changed)
	case rise("granted") != 0 || rise("revoked") != 0:
		return fmt.Sprintf("%v leases granted and %v revoked in %v", rise("granted"), rise("revoked"), d)
	case perSecond == 0:
		return "etcd counts no renewal at all: its counters are not what is looked at here"
	case perSecond > float64(8*machines+6*len(f.Controllers)): // 4 of a lease of 5 s, 2 of a longer one; a history's may still stand
		return fmt.Sprintf("%.1f renewals a second: they do not count machines", perSecond)
	}
	f.noticed(lives, "nothing happened")
	return ""
}

// quiet is satisfied when two seconds pass without a write.
func (f *fixture) quiet() (bool, string) {
	changed := f.watchStore(f.all().Rev+1, 2*time.Second)
	return len(changed) == 0, fmt.Sprint(changed)
}

// counters are etcd's metrics without labels, from the socket or port that clients use.
func (f *fixture) counters() map[string]float64 {
	f.t.Helper()
	network, address := "tcp", f.Endpoints[0]
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		network, address = "unix", path
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}}
	answer, err := client.Get("http://etcd/metrics")
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				all[name] = v
			}
		}
	}
	return all
}
