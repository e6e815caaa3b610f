package tokenstore

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// served is a store on a socket, and what opens further connections to it.
func served(t *testing.T, file string) (*Store, func() *Client) {
	t.Helper()
	s, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
		s.Close()
	})
	return s, func() *Client {
		c, err := Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func TestALateWriteOfAnOldCopyIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s, dial := served(t, file)
	old, next := dial(), dial()
	put := func(c *Client, token int64, value string) error {
		return c.Put(Write{Process: "web", Token: token, Key: "done", Value: value})
	}
	for _, step := range []struct {
		c     *Client
		token int64
		value string
		stale int64
	}{
		{old, 7, "by the old", 0}, {old, 7, "again", 0}, {next, 9, "by the next one", 0}, {old, 7, "late", 9}, {next, 9, "and on", 0},
	} {
		err := put(step.c, step.token, step.value)
		if stale := (StaleError{}); (err != nil) != (step.stale != 0) || errors.As(err, &stale) && stale.Highest != step.stale {
			t.Errorf("%+v: %v", step, err)
		}
	}
	if value, found, err := old.Get("done"); value != "and on" || !found || err != nil {
		t.Errorf("the value is %q, %v, %v", value, found, err)
	}
	if _, found, err := old.Get("other"); found || err != nil {
		t.Errorf("a value that nobody wrote: %v, %v", found, err)
	}
	if accepted, refused := s.Writes(); len(accepted) != 4 || refused != 1 {
		t.Errorf("accepted %+v, refused %d", accepted, refused)
	}
	// It has not forgotten that when it was away.
	_, dial = served(t, file)
	if err := put(dial(), 8, "much later"); err != (StaleError{9}) {
		t.Errorf("after a restart: %v", err)
	}
	if err := put(dial(), 9, "still"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	_, dial := served(t, filepath.Join(t.TempDir(), "store"))
	c := dial()
	for _, line := range []string{"", "put web", "put web x key value", "delete key", "get"} {
		if answer, err := c.ask(line); err != nil || answer == "ok" || line != "get" && answer == "none" {
			t.Errorf("%q: %q, %v", line, answer, err)
		}
	}
}

// Property: whatever is written in whatever order, the tokens that a process was accepted under never fall.
func TestAcceptedTokensNeverFall(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s, err := Open(filepath.Join(t.TempDir(), "store"))
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		var writers sync.WaitGroup
		for i, tokens := range rapid.SliceOfN(rapid.SliceOfN(rapid.Int64Range(1, 9), 1, 8), 1, 4).Draw(r, "tokens") {
			writers.Go(func() {
				for _, token := range tokens {
					_ = s.Put(Write{Process: fmt.Sprint("p", i%2), Token: token, Key: "k"})
				}
			})
		}
		writers.Wait()
		accepted, _ := s.Writes()
		highest := map[string]int64{}
		for _, w := range accepted {
			if w.Token < highest[w.Process] {
				r.Fatalf("%+v is accepted after token %d", w, highest[w.Process])
			}
			highest[w.Process] = w.Token
		}
	})
}
