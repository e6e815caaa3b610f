package agentd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// late is a keeper whose news can be held up, as those to an agent that stands still are.
type late struct {
	keeper.Keeper
	gate atomic.Pointer[chan struct{}] // what news wait for, nil is nothing
}

// hold holds news up until release is called.
func (l *late) hold() (release func()) {
	gate := make(chan struct{})
	l.gate.Store(&gate)
	return func() { close(gate) }
}

func (l *late) Changes(ctx context.Context, since uint64) (keeper.Snapshot, error) {
	s, err := l.Keeper.Changes(ctx, since)
	if gate := l.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-ctx.Done():
			return keeper.Snapshot{}, ctx.Err()
		}
	}
	return s, err
}

// TestAWholeMachineThatWasFencedIsTold: an agent stood still until its keeper had fenced everything, and went on in time to renew its lease.
// Of each process history had two entries then. A batch of fifty was larger than a transaction may be, failed, and was tried again
// as it was, for ever: processes that ran were STOPPING to everybody.
func TestAWholeMachineThatWasFencedIsTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const processes = 120
		logs := w.observe()
		b := w.box("m1")
		news := &late{Keeper: b.keeper}
		b.through = news
		b.up()
		before := map[string]api.Status{}
		for i := range processes {
			name := fmt.Sprintf("p%03d", i)
			before[name] = w.status(b, name, w.place(b, name), running)
		}
		lacks := func(fits func(keeper.Run) bool) func() string {
			return func() string {
				runs := b.keeper.Runs()
				if i := slices.IndexFunc(runs, func(r keeper.Run) bool { return !fits(r) }); i >= 0 {
					return fmt.Sprintf("%+v", runs[i])
				}
				return ""
			}
		}
		b.keeper.StopTakes("", 500*time.Millisecond)
		b.kv.Cut()
		w.await("all are being stopped", lacks(func(r keeper.Run) bool { return r.State == api.Stopping }))
		release := news.hold()
		w.await("all are fenced", lacks(func(r keeper.Run) bool { return r.FencedMillis > 0 }))
		b.kv.Heal()
		w.await("all run again", lacks(func(r keeper.Run) bool { return r.State == api.Running && r.Starts == 2 }))
		release()
		for name, was := range before {
			st := w.status(b, name, was.Token, func(s api.Status) bool { return running(s) && s.Starts == 2 })
			if st.Lease != was.Lease {
				t.Fatalf("%s is on another lease, so its touch told what happened: %+v", name, st)
			}
			if got := w.events(name); !slices.Equal(got, []string{"started", "fenced", "started"}) {
				t.Errorf("the history of %s: %q", name, got)
			}
		}
		if refused := logs.FilterMessage(invalid).All(); len(refused) > 0 {
			t.Errorf("etcd refused: %+v", refused)
		}
	})
}

const invalid = "etcd refuses a write for its form: the fleet does not learn what it says"

// small is an etcd that takes fewer operations in a transaction than others do.
type small struct {
	store.KV
	most int
}

func (s small) Txn(ctx context.Context, t store.Txn) (store.TxnResult, error) {
	if n := max(len(t.If), len(t.Then), len(t.Else)); n > s.most {
		return store.TxnResult{}, fmt.Errorf("%w: %d operations", store.ErrInvalid, n)
	}
	return s.KV.Txn(ctx, t)
}

// TestWhatEtcdRefusesHoldsUpNoOtherStatus: one status that etcd never takes, and batches that are larger than this one allows.
func TestWhatEtcdRefusesHoldsUpNoOtherStatus(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		logs := w.observe()
		b := w.box("m1")
		news := &late{Keeper: b.keeper}
		b.through, b.etcd = news, small{b.kv, 20}
		b.up()
		tokens := map[string]int64{}
		for i := range 20 {
			name := fmt.Sprintf("p%02d", i)
			tokens[name] = w.place(b, name)
			w.status(b, name, tokens[name], running)
		}
		release := news.hold()
		for name := range tokens {
			if err := b.keeper.HoldOutput(name, map[bool]string{true: strings.Repeat("x", 2<<20), false: "no space"}[name == "p07"]); err != nil {
				t.Fatal(err)
			}
		}
		release()
		for name, token := range tokens {
			if name != "p07" {
				w.status(b, name, token, func(s api.Status) bool { return s.OutputHeld == "no space" })
			}
		}
		w.await("the log names the one", func() string {
			for _, e := range logs.FilterMessage(invalid).All() {
				if fmt.Sprint(e.ContextMap()["processes"]) == "[p07]" {
					return ""
				}
			}
			return "it does not"
		})
		before := logs.FilterMessage(invalid).Len()
		time.Sleep(time.Minute)
		if n := logs.FilterMessage(invalid).Len(); n != before {
			t.Errorf("it is logged %d times, and %d a minute later", before, n)
		}
		if err := b.keeper.HoldOutput("p07", ""); err != nil {
			t.Fatal(err)
		}
		w.status(b, "p07", tokens["p07"], running)
	})
}
