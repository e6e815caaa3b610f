package spec

import (
	"os"
	"strings"
	"testing"
)

// TestREADMEHasTheTableOfDifferences compares the README with the table; UPDATE=1 writes it there.
func TestREADMEHasTheTableOfDifferences(t *testing.T) {
	const readme, begin, end = "../../README.md", "<!-- differences:", "<!-- end of differences -->"
	b, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), begin)
	mark, rest, newline := strings.Cut(rest, "\n")
	table, after, ended := strings.Cut(rest, end)
	if !found || !newline || !ended {
		t.Fatalf("%s has no table between %q and %q", readme, begin, end)
	}
	want := "\n" + DifferencesTable() + "\n"
	if table == want {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("the table in %s is not that of Differences; UPDATE=1 go test ./pkg/spec -run TestREADME writes it", readme)
	}
	text := before + begin + mark + "\n" + want + end + after
	if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

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
