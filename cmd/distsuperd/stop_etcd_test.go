package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/store"
)

func TestEtcdStaysWhileAMachineIsLiveOrMayBe(t *testing.T) {
	for _, c := range []struct {
		name    string
		all     bool
		live    []string
		unknown error
		stop    bool
		say     string
	}{
		{"nobody is live", false, nil, nil, true, "no machine is live"},
		{"machines are live", false, []string{"m1", "m2"}, nil, false, "(m1, m2); `distsuperd stop --all`"},
		{"it does not answer", false, nil, errors.New("etcd unavailable"), false, "etcd unavailable"},
		{"all was asked for", true, []string{"m1"}, nil, true, "stopped"},
	} {
		stop, summary := mayStopEtcd(c.all, c.live, c.unknown)
		if stop != c.stop || !strings.Contains(summary, c.say) {
			t.Errorf("%s: stop %v, %q", c.name, stop, summary)
		}
	}
}

func TestMachineThatReleasesItsProcessesNeedsEtcdToo(t *testing.T) {
	keys := store.NewKeys("")
	var entries []store.Entry
	for _, key := range []string{keys.Info("known"), keys.Cordon("known"), keys.Status("known", "w"), keys.Placement("known", "w"),
		keys.Touch("drains", "v"), keys.Touch("drains", "w"), keys.Alive("alive"), keys.Touch("alive", "x")} {
		entries = append(entries, store.Entry{Key: key})
	}
	if live := liveMachines(keys, entries); !slices.Equal(live, []string{"alive", "drains"}) {
		t.Errorf("it says %q", live)
	}
}
