package swept

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// kept is a file that Keep looks after, and what is told of it.
type kept struct {
	t     *testing.T
	path  string
	fails chan error // of the next Renew
	told  chan error
}

func keep(t *testing.T, path string) *kept {
	t.Helper()
	k := &kept{t: t, path: path, told: make(chan error, 16), fails: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Keep(ctx, []File{{Path: path, Intact: k.intact, Renew: k.renew}}, func(_ string, err error) { k.told <- err })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return k
}

func (k *kept) intact() bool {
	_, err := os.Stat(k.path)
	return err == nil
}

func (k *kept) renew() error {
	select {
	case err := <-k.fails:
		return err
	default:
	}
	return errors.Join(os.MkdirAll(filepath.Dir(k.path), 0o700), os.WriteFile(k.path, nil, 0o600))
}

// hears waits for what is told next.
func (k *kept) hears(want error) {
	k.t.Helper()
	select {
	case err := <-k.told:
		if !errors.Is(err, want) {
			k.t.Fatalf("it tells %v, want %v", err, want)
		}
	case <-time.After(20 * time.Second):
		k.t.Fatalf("nothing is told, want %v", want)
	}
	if want == nil && !k.intact() {
		k.t.Fatal("it is told of, and not there")
	}
}

func TestWhatIsRemovedIsMadeAnewEachTime(t *testing.T) {
	base := t.TempDir()
	k := keep(t, filepath.Join(base, "a", "b", "f"))
	k.hears(nil) // it was not there at the start
	for _, remove := range []func() error{
		func() error { return os.Remove(k.path) },
		func() error { return os.Rename(k.path, k.path+".old") },
		func() error { return os.Rename(filepath.Join(base, "a", "b"), filepath.Join(base, "a", "c")) },
		func() error { return os.Rename(filepath.Join(base, "a"), filepath.Join(base, "elsewhere")) },
		func() error { return os.RemoveAll(k.path) },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		k.hears(nil)
	}
}

func TestWhatCannotBeMadeIsToldAndTriedAgain(t *testing.T) {
	cannot := errors.New("cannot")
	k := keep(t, filepath.Join(t.TempDir(), "f"))
	k.hears(nil)
	k.fails <- cannot
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	k.hears(cannot)
	k.hears(nil)
}
