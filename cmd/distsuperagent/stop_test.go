package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/rpc"
)

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
		{"everything stopped, and nobody told", stopOptions{all: true}, "[]", "db and web: stopped, but etcd could not be told", "[db web]", "not stopped"},
	} {
		var s stopped
		s.sort(runs, c.o)
		err := fmt.Sprint(s.failure(c.o, "m1"))
		if fmt.Sprint(s.Running) != c.running || fmt.Sprint(s.Untold) != c.untold || !strings.Contains(err, c.says) || strings.Contains(err, c.silent) {
			t.Errorf("%s: %+v: %s", c.name, s, err)
		}
	}
}
