package journal

import (
	"context"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
)

// after asks for what must be there.
func after(t *rapid.T, j *Journal, c keeper.Cursor) keeper.Transitions {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	found, err := j.After(ctx, c)
	if err != nil {
		t.Fatalf("nothing follows %+v: %v", c, err)
	}
	return found
}

// A reader that comes and goes is given every transition once and in order, or told how many it missed.
func TestReaderGetsEachTransitionOnceOrIsToldWhatItMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 2*most).Draw(t, "capacity")
		j := New("k", capacity)
		var cursor keeper.Cursor
		var written, read, dropped uint64
		for range rapid.IntRange(1, 20).Draw(t, "visits") {
			for range rapid.IntRange(0, capacity+most).Draw(t, "transitions") {
				if written++; j.Append(keeper.Transition{PID: int(written)}).Seq != written {
					t.Fatal("a number was left out")
				}
			}
			for read+dropped < written {
				found := after(t, j, cursor)
				dropped += found.Dropped
				if found.OtherKeeper || len(found.Transitions) == 0 || len(found.Transitions) > most {
					t.Fatalf("%d transitions, %+v", len(found.Transitions), found.Next)
				}
				for _, f := range found.Transitions {
					if read++; f.Seq != read+dropped || f.PID != int(f.Seq) {
						t.Fatalf("after %d, of which %d were dropped, comes %d", read+dropped-1, dropped, f.Seq)
					}
				}
				cursor = found.Next
			}
			if kept := min(written, uint64(capacity)); read < kept {
				t.Fatalf("%d were read, %d are kept", read, kept)
			}
		}
	})
}

func TestCursorOfAnotherKeeperIsToldSo(t *testing.T) {
	j := New("new", 10)
	c := keeper.Cursor{Instance: "old", Seq: 7}
	found, err := j.After(t.Context(), c) // at once: that it changed is news
	if err != nil || !found.OtherKeeper || len(found.Transitions) != 0 || found.Next != (keeper.Cursor{Instance: "new"}) {
		t.Fatalf("%+v, %v", found, err)
	}
	j.Append(keeper.Transition{})
	if found, err = j.After(t.Context(), c); err != nil || !found.OtherKeeper || len(found.Transitions) != 1 || found.Dropped != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestReaderWaitsForTheNextTransition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := New("k", 10)
		j.Append(keeper.Transition{})
		first, err := j.After(t.Context(), keeper.Cursor{})
		if err != nil {
			t.Fatal(err)
		}
		next := make(chan keeper.Transitions)
		for range 2 {
			go func() {
				found, _ := j.After(t.Context(), first.Next)
				next <- found
			}()
		}
		synctest.Wait()
		j.Append(keeper.Transition{PID: 7})
		for range 2 {
			if found := <-next; len(found.Transitions) != 1 || found.Transitions[0].PID != 7 {
				t.Errorf("%+v", found)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := j.After(ctx, keeper.Cursor{Instance: "k", Seq: 2}); err == nil {
			t.Error("a reader that gave up got something")
		}
	})
}
