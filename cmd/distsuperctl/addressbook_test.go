package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

func TestAddressBookIsThisUsersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "machines-1.json")
	if _, err := readBook(path); err == nil {
		t.Error("there is none, and it was read")
	}
	book := addressBook{At: time.Now(), Machines: map[string]api.MachineInfo{"m2": {Name: "m2"}, "m1": {Name: "m1", API: "10.0.0.1:3379"}}, SigningKey: "secret"}
	for range 2 { // the second replaces the first
		if err := book.write(path); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if got, err := readBook(path); err != nil || got.Machines["m1"].API != "10.0.0.1:3379" || !slices.Equal(got.names(), []string{"m1", "m2"}) {
		t.Errorf("read was %+v, %v", got, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left is %v", left)
	}

	if err := os.Chmod(path, 0o666); err != nil { // somebody else may have said where m1 is
		t.Fatal(err)
	}
	if _, err := readBook(path); err == nil || !strings.Contains(err.Error(), "may be written by everybody") {
		t.Errorf("a file that anybody may write was read: %v", err)
	}
}

// The signing key that was noted is not lost because etcd does not answer just then.
func TestAnAddressBookLosesItsKeyOnlyWithTheRight(t *testing.T) {
	for _, c := range []struct {
		key   string
		err   error
		known bool
	}{{"secret", nil, true}, {"", fmt.Errorf("read: %w", store.ErrPermission), true}, {"", store.ErrUnavailable, false}, {"", context.DeadlineExceeded, false}} {
		if key, known := keyFor([]byte(c.key), c.err); key != c.key || known != c.known {
			t.Errorf("%v: %q, %v", c.err, key, known)
		}
	}
}

func TestAddressBooksOfForgottenFleetsGoFromTheirPlaceOnly(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	ours, elsewhere := filepath.Join(state, "distsuper"), t.TempDir()
	long := time.Now().Add(-2 * bookKept)
	for _, dir := range []string{ours, elsewhere} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"machines-old.json", "machines-fresh.json"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(filepath.Join(dir, "machines-old.json"), long, long); err != nil {
			t.Fatal(err)
		}
		removeOldBooks(filepath.Join(dir, "machines-fresh.json"))
	}
	if left, _ := filepath.Glob(filepath.Join(ours, "*")); len(left) != 1 || left[0] != filepath.Join(ours, "machines-fresh.json") {
		t.Errorf("left is %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(elsewhere, "*")); len(left) != 2 {
		t.Errorf("beside a machines_file, where such names may be anybody's, left is %v", left)
	}
}

// In a shell the next command reads etcd again.
func TestOneSilenceIsForgottenByTheNextCommand(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		s := f.session()
		f.kv.Cut()
		if code := execute(t.Context(), s.ctl, []string{"status", "--machine", "m1"}); code != exitUnreachable || !strings.Contains(s.stderr.String(), "it is not known how m1 is reached") {
			t.Errorf("while etcd is silent: exit %d, %s%s", code, s.stdout, s.stderr)
		}
		f.kv.Heal()
		time.Sleep(time.Second)
		if code := execute(t.Context(), s.ctl, []string{"status"}); code != exitDead || !strings.HasPrefix(s.stdout.String(), "web ") {
			t.Errorf("after that: exit %d, %s%s", code, s.stdout, s.stderr)
		}
	})
}

func TestStatusOfOneMachineShowsWhatIsThere(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("a", func(p *api.Program) { p.Machines = []string{"m1"} }), program("b", func(p *api.Program) { p.Machines = []string{"m2"} }))
		f.wants(exitOK, "a: started\nb: started\n", "start", "a", "b")
		for _, args := range [][]string{{"status", "--machine", "m2"}, {"--machine", "m2", "status"}} {
			if r := f.wants(exitOK, "*", args...); !strings.HasPrefix(r.out, "b  ") || strings.Count(r.out, "\n") != 1 {
				t.Errorf("%v says %s", args, r.out)
			}
		}
		if r := f.wants(exitGeneric, "", "status", "--machine", "m3"); !strings.Contains(r.errout, "machine m3 is not known; known are m1, m2") {
			t.Errorf("it says %s", r.errout)
		}
	})
}
