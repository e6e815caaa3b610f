package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/rpc"
)

func TestStopSaysWhatBecomesOfTheProcesses(t *testing.T) {
	s := keeper.Snapshot{
		Leases: []keeper.Lease{{ID: 1, TTL: 5}, {ID: 2, TTL: 30}, {ID: 3, TTL: 60}},
		Runs: []keeper.Run{
			{ID: "web", OnPartition: api.PartitionStop, Leases: []int64{1}},
			{ID: "api", OnPartition: api.PartitionStop, Leases: []int64{2}},
			{ID: "cron", OnPartition: api.PartitionKeep},
			{ID: "once", OnPartition: api.PartitionStop, Leases: []int64{3}, Done: true},
		},
	}
	lines := shutdownSummary(s)
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "api, web: ") || !strings.Contains(lines[0], "at most 30 s") || !strings.HasPrefix(lines[1], "cron: running on") {
		t.Errorf("it says %q", lines)
	}
	if lines := shutdownSummary(keeper.Snapshot{}); len(lines) != 0 {
		t.Errorf("of no process it says %q", lines)
	}
	var many keeper.Snapshot
	for i := range 300 {
		many.Runs = append(many.Runs, keeper.Run{ID: fmt.Sprintf("w%03d", i), OnPartition: api.PartitionKeep})
	}
	if lines := shutdownSummary(many); len(lines) != 1 || !strings.Contains(lines[0], "w009 and 290 more") {
		t.Errorf("of 300 it says %q", lines)
	}
}

func TestStopSaysWhatTheAgentStillWaitsFor(t *testing.T) {
	for _, c := range []struct {
		health rpc.Health
		want   string
	}{
		{rpc.Health{Processes: 3}, ""}, // it leaves them to the keeper
		{rpc.Health{Draining: true}, ""},
		{rpc.Health{Draining: true, Processes: 1}, "1 process is not released yet"},
		{rpc.Health{Draining: true, Processes: 3}, "3 processes are not released yet"},
		{rpc.Health{Draining: true, Processes: 3, Problem: "etcd does not answer"}, "etcd does not answer"},
	} {
		if got := waitingFor(c.health); got != c.want {
			t.Errorf("%+v: %q, want %q", c.health, got, c.want)
		}
	}
}

func TestStatusOfAKeeperTellsProcessesThatDoNotRun(t *testing.T) {
	k := keeperStatus{PID: 7, Containment: "cgroup2", Version: "1"}
	k.count([]keeper.Run{{Observed: api.Observed{PID: 8}}, {Done: true, Gone: true}, {Gone: true}, {Gone: true}}) // the last two were fenced
	if got, want := k.String(), "pid 7, 3 processes (2 not running now), held by cgroup2, version 1"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestStopFailsForWhatItCouldNotDo(t *testing.T) {
	runs := []keeper.Run{{ID: "web"}, {ID: "db", Done: true}}
	for _, c := range []struct {
		name           string
		o              stopOptions
		running, says  string
		untold, silent string
	}{
		{"stop leaves what runs to the keeper", stopOptions{}, "[web]", "", "[]", "db"},
		{"a drain that was cut short", stopOptions{drain: true}, "[web]", "web: not stopped", "[db]", "web, db"},
		{"everything stopped, and nobody told", stopOptions{all: true}, "[]", "db, web: stopped, but etcd could not be told", "[db web]", "not stopped"},
	} {
		var s stopped
		s.sort(runs, c.o)
		err := fmt.Sprint(s.failure(c.o, "m1"))
		if fmt.Sprint(s.Running) != c.running || fmt.Sprint(s.Untold) != c.untold || !strings.Contains(err, c.says) || strings.Contains(err, c.silent) {
			t.Errorf("%s: %+v: %s", c.name, s, err)
		}
	}
}
