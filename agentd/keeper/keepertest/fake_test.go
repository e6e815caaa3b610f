package keepertest

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/logstream"
)

func web() api.Process {
	return api.Process{Group: "web", Name: "web", Settings: api.Settings{StartSecs: 1, StartRetries: 2,
		Autorestart: api.RestartUnexpected, ExitCodes: []int{0}, StopWaitSecs: 10}}
}

func request(token int64, leases ...int64) keeper.StartRequest {
	q := keeper.StartRequest{Token: token, Process: web(), Leases: leases, OnPartition: api.PartitionStop}
	if len(leases) == 0 {
		q.OnPartition = api.PartitionKeep
	}
	return q
}

func inBubble(t *testing.T, test func(t *testing.T, f *Fake)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, New(t, Options{Clock: clock.Go{}, Machine: "m1"}))
	})
}

func renew(t *testing.T, f *Fake, id int64, ttl time.Duration) {
	t.Helper()
	at := int64(f.opts.Clock.Now().Add(ttl))
	l := keeper.Lease{ID: id, TTL: int64(ttl / time.Second), Deadline: deadline.Deadline{Boot: at, Raw: at}}
	if err := f.Renew(t.Context(), []keeper.Lease{l}); err != nil {
		t.Fatal(err)
	}
}

func wantState(t *testing.T, f *Fake, state api.State, cause keeper.Cause, done bool) keeper.Run {
	t.Helper()
	synctest.Wait()
	r, ok := f.Run("web")
	if !ok || r.State != state || r.Cause != cause || r.Done != done {
		t.Fatalf("run is %+v (there: %v), want %s %q done=%v", r, ok, state, cause, done)
	}
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFakeCrashesAreRestartedInPlaceAndExpectedExitsFinish(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		must(t, f.Start(t.Context(), request(7)))
		wantState(t, f, api.Starting, "", false)
		time.Sleep(time.Second + 1)
		pid := wantState(t, f, api.Running, "", false).PID
		must(t, f.CrashCopy("web", "SIGSEGV"))
		r := wantState(t, f, api.Starting, "", false)
		if r.PID == pid || r.Starts != 2 || *r.Exit != -1 || r.Signal != "SIGSEGV" {
			t.Fatalf("after the crash: %+v", r)
		}
		time.Sleep(time.Second + 1)
		must(t, f.Exit("web", 0))
		wantState(t, f, api.Exited, keeper.CauseFinished, true)
		must(t, f.Forget(t.Context(), keeper.Ref{ID: "web", Token: 7}, true))
		if _, ok := f.Run("web"); ok || len(f.Removed()) != 1 {
			t.Fatal("the run was not forgotten with its logs")
		}
	})
}

func TestFakeGivesUpAfterStartretries(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		must(t, f.Start(t.Context(), request(7)))
		for try := 1; try <= 2; try++ {
			must(t, f.Exit("web", 1))
			wantState(t, f, api.Backoff, "", false)
			time.Sleep(time.Duration(try) * time.Second)
			wantState(t, f, api.Starting, "", false)
		}
		must(t, f.Exit("web", 1))
		wantState(t, f, api.Fatal, keeper.CauseFatal, true)
	})
}

func TestFakeFencesAtTheDeadlineAndStartsAgainOnceRenewed(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		if err := f.Start(t.Context(), request(7, 1)); !errors.Is(err, keeper.ErrDeadline) {
			t.Fatalf("start on an unknown lease: %v", err)
		}
		f.StopTakes("", time.Hour)
		renew(t, f, 1, 5*time.Second)
		must(t, f.Start(t.Context(), request(7, 1)))
		time.Sleep(4500 * time.Millisecond)
		wantState(t, f, api.Stopping, keeper.CauseFenced, false)
		time.Sleep(time.Second)
		r := wantState(t, f, api.Stopped, keeper.CauseFenced, false)
		if !r.Gone || r.PID != 0 {
			t.Fatalf("after the deadline: %+v", r)
		}
		renew(t, f, 1, 5*time.Second)
		if r = wantState(t, f, api.Starting, "", false); r.Starts != 2 || r.Token != 7 {
			t.Fatalf("after the renewal: %+v", r)
		}
	})
}

func TestFakeStopTakesItsTimeAndThenTheRunIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		f.StopTakes("web", 3*time.Second)
		must(t, f.Start(t.Context(), request(7)))
		must(t, f.Stop(t.Context(), keeper.Ref{ID: "web", Token: 7}))
		wantState(t, f, api.Stopping, "", false)
		time.Sleep(3 * time.Second)
		wantState(t, f, api.Stopped, keeper.CauseStopped, true)
		if err := f.Start(t.Context(), request(8)); !errors.Is(err, keeper.ErrToken) {
			t.Fatalf("start over a run that is not forgotten: %v", err)
		}
	})
}

func TestFakeChangesWaitsAndTellsWhatWasForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		s, err := f.Changes(t.Context(), 0)
		must(t, err)
		got := make(chan keeper.Snapshot, 1)
		go func() {
			s, _ := f.Changes(t.Context(), s.Seq)
			got <- s
		}()
		synctest.Wait()
		f.Refuse("web", api.FaultSpawn, "no such user: bob")
		must(t, f.Start(t.Context(), request(7)))
		s = <-got
		if len(s.Runs) != 1 || s.Runs[0].Cause != keeper.CauseRefused || s.Runs[0].Reason != "no such user: bob" {
			t.Fatalf("snapshot %+v", s)
		}
		must(t, f.Forget(t.Context(), keeper.Ref{ID: "web", Token: 7}, false))
		s, err = f.Changes(t.Context(), s.Seq)
		must(t, err)
		if len(s.Runs) != 0 || len(s.Forgot) != 1 || s.Forgot[0].Token != 7 {
			t.Fatalf("snapshot %+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = f.Changes(ctx, s.Seq); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a poll without changes: %v", err)
		}
	})
}

func TestFakeRestartLosesRunsAndNamesItsPredecessor(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		must(t, f.Start(t.Context(), request(7)))
		seen, err := f.Changes(t.Context(), 0)
		must(t, err)
		broken := make(chan error, 1)
		go func() {
			_, err := f.Changes(t.Context(), seen.Seq)
			broken <- err
		}()
		synctest.Wait()
		f.Crash()
		if err := <-broken; !errors.Is(err, ErrDown) {
			t.Fatalf("poll over a crash: %v", err)
		}
		if _, err := f.Hello(t.Context()); !errors.Is(err, ErrDown) {
			t.Fatalf("hello to a dead keeper: %v", err)
		}
		f.Restart()
		h, err := f.Hello(t.Context())
		must(t, err)
		if h.Instance != "m1-2" || len(h.Predecessors) != 1 || h.Predecessors[0] != "m1-1" || len(f.Runs()) != 0 {
			t.Fatalf("hello %+v", h)
		}
		if alive := f.opts.Witness.Alive(""); len(alive) != 0 {
			t.Fatalf("alive after the crash: %+v", alive)
		}
		s, err := f.Changes(t.Context(), 1000)
		if err != nil || s.Instance != "m1-2" {
			t.Fatalf("a since of the keeper before: %+v, %v", s, err)
		}
	})
}

func TestFakePausedKeeperHangsAndDiesAtTheDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		renew(t, f, 1, 5*time.Second)
		must(t, f.Start(t.Context(), request(7, 1)))
		f.Pause()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Hello(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("hello to a stopped keeper: %v", err)
		}
		time.Sleep(3 * time.Second)
		if n := len(f.opts.Witness.Alive("web")); n != 1 {
			t.Fatalf("%d copies alive before the deadline", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(f.opts.Witness.Alive("web")); n != 0 {
			t.Fatalf("%d copies alive at the deadline", n)
		}
		if _, err := f.Hello(t.Context()); !errors.Is(err, ErrDown) {
			t.Fatalf("hello after the deadline: %v", err)
		}
	})
}

func TestWitnessSeesTwoCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWitness()
		a := New(t, Options{Clock: clock.Go{}, Machine: "a", Witness: w})
		b := New(t, Options{Clock: clock.Go{}, Machine: "b", Witness: w})
		must(t, a.Start(t.Context(), request(7)))
		must(t, b.Start(t.Context(), request(8)))
		if got := w.Overlaps(); len(got) != 1 {
			t.Fatalf("overlaps %q", got)
		}
	})
}

func TestFakeFollowedLogEndsAtClose(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		f.SetLog("web", "stdout", "hello\nworld\n")
		l, err := f.Log(t.Context(), "web", "stdout", logstream.Range{Last: 6, Follow: true})
		must(t, err)
		got := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(l)
			got <- string(b)
		}()
		synctest.Wait()
		must(t, l.Close())
		if s := <-got; s != "world\n" {
			t.Fatalf("read %q", s)
		}
	})
}

func TestFakeRefusesStartsThatAreOver(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		q := request(7)
		q.Instance = "m1-0"
		if err := f.Start(t.Context(), q); !errors.Is(err, keeper.ErrNotFound) {
			t.Errorf("a start for another keeper: %v", err)
		}
		q.Instance = "m1-1"
		must(t, f.Start(t.Context(), q))
		ref := keeper.Ref{ID: "web", Token: 7}
		must(t, f.Kill(t.Context(), ref))
		synctest.Wait()
		must(t, f.Forget(t.Context(), ref, false))
		for _, token := range []int64{6, 7} {
			if err := f.Start(t.Context(), request(token)); !errors.Is(err, keeper.ErrToken) {
				t.Errorf("a start under token %d after 7 was forgotten: %v", token, err)
			}
		}
		must(t, f.Start(t.Context(), request(8)))
	})
}
