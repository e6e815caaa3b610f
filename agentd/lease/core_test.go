package lease

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/renewal"
)

const ms = time.Millisecond

var errSilent = errors.New("no answer")

func at(d time.Duration) deadline.Moment {
	return deadline.Moment{Boot: clock.Instant(time.Hour + d), Raw: int64(time.Hour + d)}
}

func leaseOf(id int64) keeper.Lease { return grantedIn(id, 99) } // a term that no test comes to

func grantedIn(id int64, term uint64) keeper.Lease {
	return keeper.Lease{ID: id, TTL: 6, Deadline: deadline.Of(at(0), 6), Term: term}
}

func newCore(endpoints int, m mode.Mode) *Core {
	return NewCore(CoreOptions{Endpoints: make([]string, endpoints), Mode: m, Log: zap.NewNop()}, at(0).Boot)
}

// text writes effects short.
func text(effects []Effect) string {
	var words []string
	for _, e := range effects {
		switch e := e.(type) {
		case Renew:
			words = append(words, fmt.Sprintf("%x %s", e.Lease, strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", e.Effect), "renewal."))))
		case TellKeeper:
			var ids []string
			for _, l := range e.Leases {
				ids = append(ids, fmt.Sprintf("%x", l.ID))
			}
			words = append(words, "tell["+strings.Join(ids, " ")+"]")
		default:
			words = append(words, strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", e), "lease.")))
		}
	}
	return strings.Join(words, ", ")
}

func answered(id int64, attempt uint64, sent time.Duration, term uint64, ttl int64) Event {
	return Renewal{id, renewal.Answered{Attempt: attempt, Sent: at(sent), Term: term, TTL: ttl}}
}

func failed(id int64, attempt uint64) Event {
	return Renewal{id, renewal.Failed{Attempt: attempt, Err: errSilent}}
}

// line is what one call of Step does.
type line struct {
	at    time.Duration
	event Event
	want  string
}

// walks are what a test of Step goes through, each from a new one on.
var walks = []struct {
	name      string
	endpoints int
	mode      mode.Mode
	lines     []line
	changes   string // what the main loop hears at the end
}{
	{"the first act is to renew what was adopted", 1, mode.Fleet, []line{
		{0, Adopted{[]keeper.Lease{leaseOf(2), leaseOf(1), leaseOf(2), {ID: 3}}}, ""},
		{0, Started{}, "1 open, 2 open, tell[1 2]"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{3 * ms, answered(1, 1, 2*ms, 1, 6), "tell[1 2]"},
		{4 * ms, failed(2, 1), "2 close, 2 open"},
		{5 * ms, failed(2, 2), "2 close, settled"},
	}, ""},
	{"once it tells of a lease that was granted under an earlier leader, and renews it as before", 1, mode.Fleet, []line{
		{0, Adopted{[]keeper.Lease{grantedIn(1, 0), grantedIn(2, 4)}}, ""},
		{0, Started{}, "1 open, 2 open, tell[1 2]"},
		{0, TermSeen{4}, "changed"},
		{0, LeaderFound{0, 5}, "changed"},
		{0, LeaderFound{0, 5}, ""},
		{0, TermSeen{6}, ""},
		{0, Granted{grantedIn(3, 6), 6}, "3 open"},
		{0, Granted{grantedIn(4, 6), 7}, "changed, changed, 4 open"}, // somebody else led when it was granted
		{1 * ms, answered(1, 1, 0, 7, 6), ""},
	}, "outlived 1, outlived 2, outlived 3, outlived 4"},
	{"alone nothing is outlived", 1, mode.Alone, []line{
		{0, Started{}, "tell[], settled"},
		{0, Granted{grantedIn(1, 1), 1}, "1 open"},
		{0, TermSeen{2}, ""},
	}, ""},
	{"with nothing adopted it is settled at once", 1, mode.Fleet, []line{
		{0, Started{}, "tell[], settled"},
	}, ""},
	{"the main loop hears of a renewal when the keeper knows it", 1, mode.Fleet, []line{
		{0, Started{}, "tell[], settled"},
		{1 * ms, Granted{leaseOf(1), 1}, "1 open"},
		{2 * ms, KeeperAnswered{}, "acknowledged, tell[1]"},
		{4 * ms, answered(1, 1, 3*ms, 1, 6), ""},
		{5 * ms, KeeperAnswered{}, "acknowledged, tell[1]"}, // it was told before the renewal
		{6 * ms, KeeperAnswered{}, "acknowledged, changed"},
	}, "renewed 1"},
	{"a lost lease is told at once, and to the keeper", 1, mode.Fleet, []line{
		{0, Started{}, "tell[], settled"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{2 * ms, Granted{leaseOf(1), 1}, "1 open, tell[1]"},
		{3 * ms, KeeperAnswered{}, "acknowledged"},
		{5 * ms, answered(1, 1, 4*ms, 1, 0), "1 close, changed, tell[]"},
		{6 * ms, answered(1, 1, 4*ms, 1, 6), ""},
	}, "lost 1"},
	{"a keeper that fails is called again after a pause, with what is held then", 1, mode.Fleet, []line{
		{0, Started{}, "tell[], settled"},
		{1 * ms, KeeperAnswered{errSilent}, ""},
		{2 * ms, Granted{leaseOf(1), 1}, "1 open"},
		{3 * ms, Dropped{1}, "1 close"},
		{4 * ms, Granted{leaseOf(2), 1}, "2 open"},
		{201 * ms, Tick{}, "tell[2]"},
		{202 * ms, KeeperAnswered{}, "acknowledged"},
	}, ""},
	{"a keeper that was told everything is called for a sign of life", 1, mode.Fleet, []line{
		{0, Started{}, "tell[], settled"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{2000 * ms, Tick{}, ""},
		{2001 * ms, Tick{}, "tell[]"},
	}, ""},
	{"without life of the main loop nothing is renewed, until it shows some", 1, mode.Fleet, []line{
		{0, Started{}, "tell[], settled"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{9000 * ms, Granted{leaseOf(1), 1}, "1 open, tell[1]"},
		{9001 * ms, KeeperAnswered{}, "acknowledged"},
		{10001 * ms, answered(1, 1, 9002*ms, 1, 6), "1 close"}, // it came too late
		{20000 * ms, Tick{}, "tell[1]"},
		{20001 * ms, KeeperAnswered{}, "acknowledged"},
		{20002 * ms, LoopAlive{}, "1 open"},
	}, ""},
	{"nor without life of the keeper", 1, mode.Fleet, []line{
		{0, Started{}, "tell[], settled"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{9000 * ms, Granted{leaseOf(1), 1}, "1 open, tell[1]"},
		{9001 * ms, LoopAlive{}, ""},
		{10002 * ms, KeeperAnswered{errSilent}, "1 close"},
		{10202 * ms, Tick{}, "tell[1]"},
		{10203 * ms, KeeperAnswered{}, "acknowledged, 1 open"},
	}, ""},
	{"nor while it is halted, though nobody has to show life", 1, mode.Alone, []line{
		{0, Started{}, "tell[], settled"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{2 * ms, Halted{true}, ""},
		{3 * ms, Granted{leaseOf(1), 1}, "tell[1]"},
		{4 * ms, KeeperAnswered{}, "acknowledged"},
		{100000 * ms, Halted{false}, "1 open, tell[1]"},
	}, ""},
	{"a halted one is settled without a try", 1, mode.Fleet, []line{
		{0, Adopted{[]keeper.Lease{leaseOf(1)}}, ""},
		{0, Halted{true}, ""},
		{0, Started{}, "tell[1], settled"},
	}, ""},
	{"the answer of one lease makes an earlier leader's answer of another count for nothing", 2, mode.Fleet, []line{
		{0, Adopted{[]keeper.Lease{leaseOf(1), leaseOf(2)}}, ""},
		{0, Started{}, "1 open, 2 open, tell[1 2], findleader"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{3 * ms, answered(1, 1, 2*ms, 8, 6), "tell[1 2]"},
		{4 * ms, answered(2, 1, 2*ms, 7, 6), "2 close, 2 open, 2 open"},
	}, ""},
	{"the leader is looked for at the start, and after a failure, but not too often", 2, mode.Fleet, []line{
		{0, Adopted{[]keeper.Lease{leaseOf(1)}}, ""},
		{0, Started{}, "1 open, tell[1], findleader"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{2 * ms, failed(1, 1), "1 close, 1 open, 1 open"},
		{3 * ms, LeaderFound{-1, 0}, ""},
		{5 * ms, answered(1, 3, 4*ms, 3, 6), "1 close, tell[1], settled"},
		{6 * ms, KeeperAnswered{}, "acknowledged, changed"},
		{5003 * ms, LoopAlive{}, "1 send, tell[1], findleader, changed"},
		{5004 * ms, LeaderFound{0, 3}, ""},
		{5005 * ms, answered(1, 4, 5003*ms, 3, 6), "1 close, changed"},
	}, "renewed 1, silent, answering"},
	{"a leader of an earlier term is not believed", 2, mode.Fleet, []line{
		{0, Started{}, "tell[], findleader, settled"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{2 * ms, TermSeen{9}, ""},
		{3 * ms, LeaderFound{1, 8}, ""},
		{4 * ms, Granted{leaseOf(1), 9}, "1 open, tell[1]"},
		{6 * ms, answered(1, 1, 5*ms, 9, 6), ""},
		{7 * ms, KeeperAnswered{}, "acknowledged, tell[1]"},
	}, ""},
	{"leases that do not end by themselves are renewed once a minute", 1, mode.Alone, []line{
		{0, Started{}, "tell[], settled"},
		{1 * ms, KeeperAnswered{}, "acknowledged"},
		{2 * ms, Granted{leaseOf(1), 1}, "1 open, tell[1]"},
		{4 * ms, answered(1, 1, 3*ms, 1, 6), ""},
		{5 * ms, KeeperAnswered{}, "acknowledged, tell[1]"},
		{6 * ms, KeeperAnswered{}, "acknowledged, changed"},
		{59000 * ms, Tick{}, ""},
		{60003 * ms, Tick{}, "1 send"},
	}, "renewed 1"},
}

func TestSteps(t *testing.T) {
	for _, c := range walks {
		t.Run(c.name, func(t *testing.T) {
			core := newCore(c.endpoints, c.mode)
			for i, l := range c.lines {
				if got := text(core.Step(at(l.at), l.event)); got != l.want {
					t.Fatalf("%d: at %v %#v:\n%q, want\n%q", i, l.at, l.event, got, l.want)
				}
			}
			var heard []string
			for _, ch := range core.Take() {
				switch ch.Kind {
				case Renewed:
					heard = append(heard, fmt.Sprintf("renewed %x", ch.Lease.ID))
				case Lost:
					heard = append(heard, fmt.Sprintf("lost %x", ch.Lease.ID))
				case Outlived:
					heard = append(heard, fmt.Sprintf("outlived %x", ch.Lease.ID))
				case Silent:
					heard = append(heard, "silent")
				case Answering:
					heard = append(heard, "answering")
				}
			}
			if got := strings.Join(heard, ", "); got != c.changes {
				t.Errorf("the main loop hears %q, want %q", got, c.changes)
			}
		})
	}
}
