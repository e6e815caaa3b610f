package chaos

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/witness"
)

func TestALedgerIsReadAsItWasWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.tsv")
	r := Result{Plan: Draw(3, 20), Copies: 40, Load: 3.5, Verdict: Verdict{WorstGap: 2250 * time.Millisecond, Overlaps: []Overlap{{Old: witness.Copy{Process: "p"}}}}}
	want := []Entry{NewEntry(time.Unix(1e9, 0), "abc", r), NewEntry(time.Unix(2e9, 0), "abc", Result{Plan: Draw(4, 5), Broken: "why"})}
	for _, e := range want {
		if err := Append(file, e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadLedger(file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it is read as %+v (%v), and was %+v", got, err, want)
	}
}

// TestTheLedgerInTheRepositoryCanBeRead: its columns are those of today.
func TestTheLedgerInTheRepositoryCanBeRead(t *testing.T) {
	if _, err := ReadLedger("ledger.tsv"); err != nil {
		t.Error(err)
	}
}
