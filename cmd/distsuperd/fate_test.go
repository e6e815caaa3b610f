package main

import (
	"errors"
	"strings"
	"testing"
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
		stop, said := fate(c.all, c.live, c.unknown)
		if stop != c.stop || !strings.Contains(said, c.say) {
			t.Errorf("%s: stop %v, %q", c.name, stop, said)
		}
	}
}
