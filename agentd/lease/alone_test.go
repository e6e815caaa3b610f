package lease

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/store/memstore"
)

func TestAloneLeasesNeedNoSignOfLifeAndLittleWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{Mode: mode.Alone})
		defer s.Close()
		k := &fakeKeeper{}
		h := New(Options{KV: s.Client("m1"), Keeper: k, Clock: clock.Go{}, Log: zap.NewNop(), Mode: mode.Alone})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { _ = h.Run(ctx) })
		if _, err := h.Grant(ctx, 5); err != nil {
			t.Fatal(err)
		}
		// Nobody beats, nobody takes events.
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, e := range h.Take() {
			if e.Kind == Lost {
				t.Errorf("it was lost: %+v", e)
			}
		}
		if n := s.Stats().Renewals; n < 50 || n > 70 || h.Problem() != "" {
			t.Errorf("in an hour it was renewed %d times, want about 60; %s", n, h.Problem())
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.calls > 200 {
			t.Errorf("in an hour the keeper was called %d times", k.calls)
		}
	})
}
