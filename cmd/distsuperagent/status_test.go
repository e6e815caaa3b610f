package main

import (
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

func TestStatusOfAKeeperTellsProcessesThatDoNotRun(t *testing.T) {
	k := keeperStatus{PID: 7, Containment: "cgroup2", Version: "1"}
	k.count([]keeper.Run{{Observed: api.Observed{PID: 8}}, {Done: true, Gone: true}, {Gone: true}, {Gone: true}}) // the last two were fenced
	if got, want := k.String(), "pid 7, 3 processes (2 not running now), held by cgroup2, version 1"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
