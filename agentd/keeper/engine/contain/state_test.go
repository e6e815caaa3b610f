package contain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
)

func TestABrokenStateFileIsNotTakenForAnEmptyOne(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, stateName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(dir); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("%v", err)
	}
}

func TestOutcomesAreThereForTheNextKeeper(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, instance := range []string{"k1", "k2"} {
		if err := s.AddOutcomes([]keeper.Outcome{{Instance: instance, ID: "web", Token: 7}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if s, err = OpenState(dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.State().OutcomesOf("k1"); len(got) != 1 || got[0].Instance != "k1" || got[0].Token != 7 {
		t.Errorf("%+v", got)
	}
}
