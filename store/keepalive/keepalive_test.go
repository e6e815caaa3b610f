package keepalive_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/renewal"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/keepalive"
	"github.com/distsuper/distsuper/store/memstore"
)

// session is a lease that Keep renews.
type session struct {
	s     *memstore.Server
	kv    *memstore.Client
	lease store.Lease
	ended chan clock.Instant // when Keep returned
}

func inSession(t *testing.T, ttl int64, endpoints int, test func(t *testing.T, s *session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &session{s: memstore.New(memstore.Options{Endpoints: endpoints}), ended: make(chan clock.Instant, 1)}
		defer s.s.Close()
		s.kv = s.s.Client("d1")
		sent := deadline.Now(clock.Go{})
		var err error
		if s.lease, err = s.kv.Grant(t.Context(), ttl); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			keepalive.Keep(ctx, s.kv, clock.Go{}, s.lease.ID, renewal.Options{TTL: ttl, Deadline: deadline.Of(sent, ttl), Term: s.lease.Term, EndAtDeadline: true})
			s.ended <- clock.Go{}.Now()
		}()
		test(t, s)
		cancel()
		<-done // and the bubble finds whatever Keep has left
	})
}

func (s *session) lives(t *testing.T) bool {
	t.Helper()
	_, err := s.s.Client("test").TimeToLive(t.Context(), s.lease.ID)
	return err == nil
}

func TestASessionThatGetsNoAnswerEndsAtItsDeadline(t *testing.T) {
	for _, ttl := range []int64{2, 5} {
		inSession(t, ttl, 3, func(t *testing.T, s *session) {
			time.Sleep(time.Minute)
			s.kv.CutAnswers()
			cut := clock.Go{}.Now()
			ended := <-s.ended
			gives := time.Duration(ttl)*time.Second - deadline.Margin(ttl)
			if after := ended.Sub(cut); after > gives || after < gives-deadline.Interval(ttl) {
				t.Errorf("TTL %d: it ended %v after the cut, want at most %v and up to %v less", ttl, after, gives, deadline.Interval(ttl))
			}
			if !s.lives(t) {
				t.Errorf("TTL %d: the lease ended first", ttl)
			}
		})
	}
}

func TestASessionOutlivesTheLossOfAnyEndpoint(t *testing.T) {
	inSession(t, 2, 3, func(t *testing.T, s *session) {
		for i := range 9 {
			time.Sleep(3 * time.Second)
			s.kv.Heal()
			time.Sleep(3 * time.Second)
			s.kv.CutEndpoint(i % 3)
		}
		time.Sleep(3 * time.Second)
		select {
		case <-s.ended:
			t.Error("it ended")
		default:
		}
	})
}

func TestASessionEndsWhenEtcdSaysThatItsLeaseIsGone(t *testing.T) {
	inSession(t, 5, 1, func(t *testing.T, s *session) {
		time.Sleep(10 * time.Second)
		if err := s.s.Client("test").Revoke(t.Context(), s.lease.ID); err != nil {
			t.Fatal(err)
		}
		revoked := clock.Go{}.Now()
		if after := (<-s.ended).Sub(revoked); after > deadline.Interval(5) {
			t.Errorf("it ended %v after the revocation", after)
		}
	})
}
