package contain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/hostid"
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

// A swept directory must lead neither to a second keeper nor to an orphan: the living keeper keeps others out, makes its file
// anew, and its successor knows by that what it left.
func TestADirectoryThatWasSweptIsStillItsKeepers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	host, err := hostid.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	copied := host
	copied.Directory = "1:1"
	for _, k := range []KeeperRecord{{Instance: "copied", Host: copied}, {Instance: "before", Host: host}, {Instance: "ours", Host: host}} {
		if err := s.AddKeeper(k); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(dir, dir+".old"); err != nil { // so that the next one has another inode for certain
		t.Fatal(err)
	}
	if err := new(StateFile).take(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Fatalf("a second keeper, beside a living one: %v", err)
	}
	for _, f := range s.Files() {
		if f.Intact() {
			t.Errorf("%s is said to be there", f.Path)
		}
		if err := f.Renew(); err != nil || !f.Intact() {
			t.Errorf("%s: %v, there: %v", f.Path, err, f.Intact())
		}
	}
	s.Close()
	next, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if host, err = hostid.Read(dir); err != nil {
		t.Fatal(err)
	}
	if got := next.State().Dead(host, api.ProofSuccessor); !slices.Equal(got, []string{"ours", "before"}) {
		t.Errorf("its successor answers for %v", got)
	}
}

func TestASweptLockThatAnotherKeeperHasIsLeftToIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	other, err := lockDirectory(dir) // of a version that holds no name
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	lock := s.Files()[0]
	if err := lock.Renew(); lock.Intact() || !errors.As(err, new(*takenError)) {
		t.Errorf("%v, intact: %v", err, lock.Intact())
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
