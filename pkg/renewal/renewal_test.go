package renewal

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

const ms = time.Millisecond

var errBroken = errors.New("broken")

// at is d after the beginning of a test, whose clocks stood at different times.
func at(d time.Duration) deadline.Moment {
	return deadline.Moment{Boot: clock.Instant(time.Hour + d), Raw: int64(time.Minute + d)}
}

// line is what one call of Step does at a time.
type line struct {
	at    time.Duration
	event Event
	want  string // the effects
	next  time.Duration
}

// never is a next that is clock.Never.
const never = time.Duration(-1)

// text writes effects short: open 1@0 is attempt 1 at endpoint 0.
func text(effects []Effect) string {
	var words []string
	for _, e := range effects {
		switch e := e.(type) {
		case Open:
			words = append(words, fmt.Sprintf("open %d@%d", e.Attempt, e.Endpoint))
		case Send:
			words = append(words, fmt.Sprintf("send %d", e.Attempt))
		case Close:
			words = append(words, "close")
		case Missed:
			words = append(words, fmt.Sprintf("missed@%d", e.Endpoint))
		case Extended:
			words = append(words, fmt.Sprintf("until %v", time.Duration(e.Deadline.Boot)-time.Hour))
		case Lost:
			words = append(words, "lost")
		}
	}
	return strings.Join(words, ", ")
}

var six = Options{TTL: 6, Endpoints: 3, Leader: -1} // a renewal each second, 500 ms an attempt, a margin of 700 ms

// walks are what a test of Step goes through, each from a new one on.
var walks = []struct {
	name  string
	o     Options
	lines []line
}{
	{"renewals follow each other on one stream", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Opened{1}, "send 1", 500 * ms},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "until 5.31s", 1000 * ms},
		{1000 * ms, Tick{}, "send 2", 1500 * ms},
		{1010 * ms, Answered{2, at(1000 * ms), 5, 6}, "until 6.3s", 2000 * ms},
	}},
	{"after an error the next endpoint is asked at once", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Failed{1, errBroken}, "missed@0, close, open 2@1", 510 * ms},
		{20 * ms, Opened{2}, "send 2", 510 * ms},
		{30 * ms, Failed{2, errBroken}, "missed@1, close, open 3@2", 530 * ms},
		{40 * ms, Opened{3}, "send 3", 530 * ms},
		{50 * ms, Answered{3, at(40 * ms), 5, 6}, "until 5.34s", 1000 * ms},
	}},
	{"after silence, too, whether the stream is open or not", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{500 * ms, Tick{}, "missed@0, close, open 2@1", 1000 * ms},
		{510 * ms, Opened{2}, "send 2", 1000 * ms},
		{1000 * ms, Tick{}, "missed@1, close, open 3@2", 1500 * ms},
	}},
	{"answers of an attempt that was given up count for nothing", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{500 * ms, Tick{}, "missed@0, close, open 2@1", 1000 * ms},
		{510 * ms, Opened{1}, "", 1000 * ms},
		{520 * ms, Answered{1, at(510 * ms), 5, 6}, "", 1000 * ms},
		{530 * ms, Answered{2, at(510 * ms), 5, 6}, "", 1000 * ms}, // of a stream that is not open
		{540 * ms, Failed{1, errBroken}, "", 1000 * ms},
	}},
	{"a single endpoint is asked twice, and then after pauses that double", Options{TTL: 6, Endpoints: 1, Leader: -1}, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{0, Failed{1, errBroken}, "missed@0, close, open 2@0", 500 * ms},
		{0, Failed{2, errBroken}, "missed@0, close", 100 * ms},
		{100 * ms, Tick{}, "open 3@0", 600 * ms},
		{100 * ms, Failed{3, errBroken}, "missed@0, close, open 4@0", 600 * ms},
		{110 * ms, Failed{4, errBroken}, "missed@0, close", 300 * ms},
		{300 * ms, Tick{}, "open 5@0", 800 * ms},
		{310 * ms, Opened{5}, "send 5", 800 * ms},
		{320 * ms, Answered{5, at(310 * ms), 5, 6}, "until 5.61s", 1300 * ms},
	}},
	{"a member that is behind is not believed", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Opened{1}, "send 1", 500 * ms},
		{15 * ms, TermSeen{7}, "", 500 * ms},
		{20 * ms, Answered{1, at(10 * ms), 6, 6}, "missed@0, close, open 2@1", 520 * ms},
		{30 * ms, Opened{2}, "send 2", 520 * ms},
		{40 * ms, Answered{2, at(30 * ms), 7, 6}, "until 5.33s", 1000 * ms},
	}},
	{"nor when it says that the lease is gone", six, []line{
		{0, TermSeen{7}, "open 1@0", 500 * ms},
		{10 * ms, Opened{1}, "send 1", 500 * ms},
		{20 * ms, Answered{1, at(10 * ms), 6, 0}, "missed@0, close, open 2@1", 520 * ms},
	}},
	{"a lost lease stays lost", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Opened{1}, "send 1", 500 * ms},
		{20 * ms, Answered{1, at(10 * ms), 6, 0}, "close, lost", never},
		{30 * ms, Answered{1, at(10 * ms), 6, 6}, "", never},
		{40 * ms, Resume{}, "", never},
	}},
	{"the leader's endpoint is preferred", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Opened{1}, "send 1", 500 * ms},
		{15 * ms, LeaderFound{2}, "", 500 * ms},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "until 5.31s, close", 1000 * ms},
		{1000 * ms, Tick{}, "open 2@2", 1500 * ms},
		{1010 * ms, Opened{2}, "send 2", 1500 * ms},
		{1020 * ms, Answered{2, at(1010 * ms), 5, 6}, "until 6.31s", 2000 * ms},
		{2000 * ms, Tick{}, "send 3", 2500 * ms},
	}},
	{"but not at once when it has just failed", Options{TTL: 6, Endpoints: 2, Leader: 1}, []line{
		{0, Tick{}, "open 1@1", 500 * ms},
		{10 * ms, Failed{1, errBroken}, "missed@1, close, open 2@0", 510 * ms},
		{20 * ms, Opened{2}, "send 2", 510 * ms},
		{30 * ms, Answered{2, at(20 * ms), 5, 6}, "until 5.32s", 1000 * ms},
		{1000 * ms, Tick{}, "send 3", 1500 * ms},
		{1010 * ms, Answered{3, at(1000 * ms), 5, 6}, "until 6.3s, close", 2000 * ms},
		{2000 * ms, Tick{}, "open 4@1", 2500 * ms},
	}},
	{"a pause gives up what is under way, and ends with a renewal", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Opened{1}, "send 1", 500 * ms},
		{15 * ms, Pause{}, "close", never},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "", never},
		{5000 * ms, Tick{}, "", never},
		{6000 * ms, Resume{}, "open 2@0", 6500 * ms},
	}},
	{"a dropped lease is not renewed", six, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Drop{}, "close", never},
		{20 * ms, Opened{1}, "", never},
	}},
	{"without a bound renewals go on after the deadline", Options{TTL: 6, Endpoints: 1, Leader: -1, Deadline: deadline.Of(at(0), 6)}, []line{
		{60 * time.Second, Tick{}, "open 1@0", 60500 * ms},
	}},
	{"with EndAtDeadline the lease is lost then", Options{TTL: 6, Endpoints: 1, Leader: -1, Deadline: deadline.Of(at(0), 6), EndAtDeadline: true}, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Opened{1}, "send 1", 500 * ms},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "until 5.31s", 1000 * ms},
		{5200 * ms, Tick{}, "send 2", 5310 * ms},
		{5310 * ms, Answered{2, at(5200 * ms), 5, 6}, "close, lost", never},
	}},
	{"with EndAtDeadline even while it is paused", Options{TTL: 6, Endpoints: 1, Leader: -1, Deadline: deadline.Of(at(0), 6), EndAtDeadline: true}, []line{
		{0, Pause{}, "", 5300 * ms},
		{5300 * ms, Tick{}, "lost", never},
	}},
	{"another interval, for leases that do not end by themselves", Options{TTL: 6, Endpoints: 1, Leader: -1, Interval: time.Minute}, []line{
		{0, Tick{}, "open 1@0", 500 * ms},
		{10 * ms, Opened{1}, "send 1", 500 * ms},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "until 5.31s", 60 * time.Second},
	}},
}

func TestSteps(t *testing.T) {
	for _, c := range walks {
		t.Run(c.name, func(t *testing.T) {
			r := New(c.o)
			for i, l := range c.lines {
				if got := text(r.Step(at(l.at), l.event)); got != l.want {
					t.Fatalf("%d: at %v %T: %q, want %q", i, l.at, l.event, got, l.want)
				}
				want := at(l.next).Boot
				if l.next == never {
					want = clock.Never
				}
				if r.Next() != want {
					t.Fatalf("%d: at %v %T: next at %v, want %v", i, l.at, l.event, time.Duration(r.Next())-time.Hour, l.next)
				}
			}
		})
	}
}
