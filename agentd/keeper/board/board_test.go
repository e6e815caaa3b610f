package board

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/agentd/keeper"
)

// A reader that looks now and then knows after each look what is so, whatever happened in between.
func TestReaderKnowsWhatIsSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, is, known, seq := New("k"), map[string]int64{}, map[string]int64{}, uint64(0)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			id, token := fmt.Sprint("p", rapid.IntRange(0, 5).Draw(t, "process")), rapid.Int64Range(1, 9).Draw(t, "token")
			switch rapid.SampledFrom([]string{"put", "put", "remove", "look"}).Draw(t, "step") {
			case "put":
				b.Put(keeper.Run{ID: id, Token: token})
				is[id] = token
			case "remove":
				if token, there := is[id]; there {
					b.Remove(keeper.Ref{ID: id, Token: token})
					delete(is, id)
				}
			case "look":
				s, news := b.Look(seq)
				if !news {
					break
				}
				seq = s.Seq
				for _, f := range s.Forgot {
					delete(known, f.ID)
				}
				for _, r := range s.Runs {
					known[r.ID] = r.Token
				}
				if !maps.Equal(known, is) {
					t.Fatalf("it knows %v, and it is %v", known, is)
				}
			}
		}
	})
}

func TestSeqOfAnotherBoardIsToldEverything(t *testing.T) {
	b := New("k")
	b.Put(keeper.Run{ID: "a"}, keeper.Run{ID: "a", Token: 7}, keeper.Run{ID: "b"})
	s, err := b.Since(t.Context(), 1000)
	if err != nil || len(s.Runs) != 2 || s.Runs[0].Token != 7 || s.Instance != "k" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestRenewalWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("k")
		s, _ := b.Look(0)
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan keeper.Snapshot, 1)
		go func() {
			s, _ := b.Since(ctx, s.Seq)
			got <- s
		}()
		synctest.Wait()
		b.SetLeases([]keeper.Lease{{ID: 1}})
		synctest.Wait()
		if len(got) > 0 {
			t.Error("a renewal woke who waits for a change")
		}
		b.Put(keeper.Run{ID: "a"})
		if s := <-got; len(s.Runs) != 1 || len(s.Leases) != 1 {
			t.Errorf("%+v", s)
		}
		cancel()
	})
}
