package parity

import (
	"strings"
	"testing"
)

func TestEveryDifferenceSaysWhatAndWhy(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Differences {
		if seen[d.ID] || d.ID == "" || d.Area == "" || d.What == "" || d.Supervisor == "" || d.Distsuper == "" || d.Why == "" {
			t.Errorf("row %+v", d)
		}
		for _, cell := range []string{d.What, d.Supervisor, d.Distsuper, d.Why} {
			if strings.ContainsAny(cell, "|\n") {
				t.Errorf("%s: %q would break the table", d.ID, cell)
			}
		}
		seen[d.ID] = true
	}
}
