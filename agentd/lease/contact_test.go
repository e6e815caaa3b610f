package lease

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
)

// silence has a core without any answer tick on from a time on, and returns when it says that etcd is silent, after at(0).
func silence(t *testing.T, c *Core, from time.Duration) time.Duration {
	t.Helper()
	for passed := from; passed < time.Minute; passed += 10 * ms {
		c.Step(at(passed), Tick{})
		if c.Contact().Silent {
			return passed
		}
		c.Step(at(passed), LoopAlive{})
		c.Step(at(passed), KeeperAnswered{})
	}
	return -1
}

func TestSilenceIsNoticedAfterAQuarterOfTheShortestLease(t *testing.T) {
	c := newCore(1, mode.Fleet)
	c.Step(at(0), Started{})
	if got := silence(t, c, 0); got != -1 {
		t.Fatalf("etcd was asked nothing, and is silent after %v", got)
	}
	c = newCore(1, mode.Fleet)
	c.Step(at(0), Started{})
	c.Step(at(0), Granted{leaseOf(1), 1})
	c.Step(at(0), Granted{keeper.Lease{ID: 2, TTL: 2, Deadline: deadline.Of(at(0), 2)}, 1})
	if got := silence(t, c, 0); got != 500*ms {
		t.Errorf("silent after %v, want a quarter of 2 s", got)
	}
	if got := c.Contact().Answered; got != at(0).Boot {
		t.Errorf("answered %v after the grant", got.Sub(at(0).Boot))
	}
}

func TestAnAgentThatStartsWithoutEtcdKnowsWhenItsPredecessorHadAnAnswer(t *testing.T) {
	c := NewCore(CoreOptions{Endpoints: make([]string, 1), Log: newCore(1, mode.Fleet).o.Log}, clock.Instant(0))
	c.Step(at(3*time.Second), Adopted{[]keeper.Lease{leaseOf(1)}})
	c.Step(at(3*time.Second), Started{})
	if got := c.Contact(); got != (Contact{Answered: at(0).Boot}) {
		t.Errorf("%+v, want an answer at %v, and no silence before anything was asked", got, at(0).Boot)
	}
	if got := silence(t, c, 3*time.Second); got != 4500*ms {
		t.Errorf("silent after %v, want a quarter of 6 s after the start", got)
	}
}

func TestWhatIsNotAskedIsNoSilence(t *testing.T) {
	c := newCore(1, mode.Fleet)
	c.Step(at(0), Started{})
	c.Step(at(0), Granted{leaseOf(1), 1})
	c.Step(at(0), Halted{true})
	if got := silence(t, c, 0); got != -1 {
		t.Errorf("renewals were halted, and etcd is silent after %v", got)
	}
	c.Step(at(2*time.Minute), LoopAlive{})
	c.Step(at(2*time.Minute), Halted{false})
	if c.Contact().Silent {
		t.Error("it is silent before it was asked")
	}
}
