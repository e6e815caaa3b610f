package main

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/rpc"
)

func TestStatusOfAKeeperTellsProcessesThatDoNotRun(t *testing.T) {
	k := keeperStatus{PID: 7, Containment: "cgroup2", Version: "1"}
	k.count([]keeper.Run{{Observed: api.Observed{PID: 8}}, {Done: true, Gone: true}, {Gone: true}, {Gone: true}}) // the last two were fenced
	if got, want := k.String(), "pid 7, 3 processes (2 not running now), held by cgroup2, version 1"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestTheListOfProcessesSaysWhatOutputIsHeldUp(t *testing.T) {
	s := status{Processes: []rpc.Run{{ID: "web", Observed: api.Observed{State: api.Stopping, OutputHeld: "/log: no space left on device", OutputHeldSince: time.Now()}}}}
	var out strings.Builder
	if s.printProcesses(&out); !strings.Contains(out.String(), "STOPPING  output held up since ") || !strings.Contains(out.String(), ": /log: no space left on device\n") {
		t.Errorf("it says %q", &out)
	}
}
