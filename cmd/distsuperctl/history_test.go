package main

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

func TestHistoryShowsWhenAThingHappenedAndWhenItWasTold(t *testing.T) {
	e := api.HistoryEntry{At: time.Date(2026, 11, 29, 12, 3, 5, 0, time.Local), Process: "web", Machine: "m1", Token: 7, What: "fenced",
		Why: "no renewal from etcd for 3.2 s", By: "agent m1"}
	line := "2026-11-29 12:03:05.000  web  fenced on m1 (token 7): no renewal from etcd for 3.2 s  [agent m1]"
	if got := historyLine(e); got != line {
		t.Errorf("told at once: %s", got)
	}
	e.Told = e.At.Add(9 * time.Minute)
	if got := historyLine(e); got != line+" (told at 12:12:05.000)" {
		t.Errorf("told later: %s", got)
	}
}
