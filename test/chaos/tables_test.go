package chaos

import (
	"strings"
	"testing"
	"time"
)

func TestTablesSumRoundsUpByHostAndCommit(t *testing.T) {
	entries := []Entry{
		{Date: "2026-01-01T00:00:00Z", Commit: "old", Faults: 20, Starved: true, Kinds: "kill-agent:20", Classes: "-", WorstGap: 9 * time.Second},
		{Date: "2026-01-02T00:00:00Z", Commit: "new", Faults: 3, Kinds: "kill-agent:2 outage-kill:1", Classes: "kill-agent:1:0:0:0.50 outage-kill:1:0:2:3.00"},
		{Date: "2026-01-03T00:00:00Z", Commit: "new", Faults: 4, Starved: true, Ended: 2, Kinds: "kill-agent:1 cut:3", Classes: "kill-agent:1:1:0:4.25 several_at_once:1:0:0:8.00"},
	}
	all, err := KindsTable(entries)
	if err != nil {
		t.Fatal(err)
	}
	short, err := FamiliesTable(entries)
	if err != nil {
		t.Fatal(err)
	}
	for text, rows := range map[string][]string{
		all: {"| `kill-agent` | 2 | 1 | 2 | 1 |  | 3.6 s and 6.6 s | 0.5 s | 4.2 s |", "| `outage-kill` | 1 | 0 | 1 | 0 | 2 |",
			"| several at once |  |  | 1 | 0 |  |"},
		short:                 {"| SIGKILL of a daemon | 3 | 1 | 6.6 | 0.5 | 4.2 |", "| all of etcd, 20 to 60 s | 1 | 0 | nothing ends | 2 ended | 0 ended |"},
		CommitsTable(entries): {"| old | 2026-01-01 | 1 | 1 | 20 |", "| new | 2026-01-02 | 2 | 1 | 7 |"},
	} {
		for _, row := range rows {
			if !strings.Contains(text, row) {
				t.Errorf("there is no %q in\n%s", row, text)
			}
		}
	}
}
