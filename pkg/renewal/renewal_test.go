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

// text writes effects short: open 1@0 is attempt 1 at endpoint 0, send 2/1 attempt 2 on the stream of attempt 1.
func text(effects []Effect) string {
	var words []string
	for _, e := range effects {
		switch e := e.(type) {
		case Open:
			words = append(words, fmt.Sprintf("open %d@%d", e.Attempt, e.Endpoint))
		case Send:
			words = append(words, fmt.Sprintf("send %d/%d", e.Attempt, e.Stream))
		case Close:
			words = append(words, fmt.Sprintf("close %d", e.Stream))
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

var (
	six   = Options{TTL: 6, Endpoints: 3, Leader: -1} // a renewal each 300 ms, a patience of 250 ms, a margin of 700 ms
	alone = Options{TTL: 6, Endpoints: 1, Leader: -1}
)

// granted is o with the deadline of a lease that was granted at the beginning.
func granted(o Options) Options {
	o.Deadline = deadline.Of(at(0), o.TTL)
	return o
}

// walks are what a test of Step goes through, each from a new one on.
var walks = []struct {
	name  string
	o     Options
	lines []line
}{
	{"renewals follow each other on one stream", six, []line{
		{0, Tick{}, "open 1@0", 1000 * ms},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "until 5.31s", 310 * ms},
		{310 * ms, Tick{}, "send 2/1", 560 * ms},
		{320 * ms, Answered{2, at(310 * ms), 5, 6}, "until 5.61s", 610 * ms},
		{610 * ms, Tick{}, "send 3/1", 860 * ms},
	}},
	{"after an error every endpoint is asked at once, and the first answer counts", granted(six), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{10 * ms, Failed{1, errBroken}, "missed@0, close 1, open 2@0, open 3@1, open 4@2", 260 * ms},
		{20 * ms, Failed{2, errBroken}, "missed@0, close 2", 260 * ms},
		{40 * ms, Answered{4, at(30 * ms), 5, 6}, "until 5.33s, close 3", 330 * ms},
		{50 * ms, Answered{3, at(30 * ms), 5, 6}, "", 330 * ms},
		{330 * ms, Tick{}, "send 5/4", 580 * ms},
	}},
	{"after silence, too, and again and again; the oldest question of an endpoint is given up", granted(Options{TTL: 6, Endpoints: 2, Leader: -1}), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{250 * ms, Tick{}, "missed@0, open 2@0, open 3@1", 500 * ms},
		{500 * ms, Tick{}, "open 4@0, open 5@1", 750 * ms},
		{750 * ms, Tick{}, "missed@0, close 1, open 6@0, open 7@1", 1000 * ms},
		{1000 * ms, Tick{}, "missed@0, close 2, open 8@0, missed@1, close 3, open 9@1", 1250 * ms},
		{1010 * ms, Answered{3, at(250 * ms), 5, 6}, "", 1250 * ms},
		{1020 * ms, Answered{5, at(500 * ms), 5, 6}, "until 5.8s, close 4, close 6, close 7, close 8, close 9, send 10/5", 1270 * ms},
	}},
	{"a slow answer to the first question counts though others were asked", granted(six), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{250 * ms, Tick{}, "missed@0, open 2@0, open 3@1, open 4@2", 500 * ms},
		{400 * ms, Answered{1, at(0), 5, 6}, "until 5.3s, close 2, close 3, close 4, send 5/1", 650 * ms},
	}},
	{"a single endpoint is asked again at once, and then each time that patience is over", granted(alone), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{0, Failed{1, errBroken}, "missed@0, close 1, open 2@0", 250 * ms},
		{0, Failed{2, errBroken}, "missed@0, close 2", 250 * ms},
		{250 * ms, Tick{}, "open 3@0", 500 * ms},
		{250 * ms, Failed{3, errBroken}, "missed@0, close 3", 500 * ms},
		{500 * ms, Tick{}, "open 4@0", 750 * ms},
		{520 * ms, Answered{4, at(510 * ms), 5, 6}, "until 5.81s", 810 * ms},
	}},
	{"what is kept open may have broken since", granted(alone), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{10 * ms, Answered{1, at(0), 5, 6}, "until 5.3s", 300 * ms},
		{300 * ms, Tick{}, "send 2/1", 550 * ms},
		{301 * ms, Failed{2, errBroken}, "missed@0, close 1, open 3@0", 551 * ms},
		{302 * ms, Answered{3, at(301 * ms), 5, 6}, "until 5.601s", 601 * ms},
	}},
	{"after the deadline there is no hurry", granted(alone), []line{
		{5299 * ms, Tick{}, "open 1@0", 5549 * ms},
		{5549 * ms, Tick{}, "missed@0, open 2@0", 6549 * ms},
		{6549 * ms, Tick{}, "open 3@0", 7549 * ms},
	}},
	{"a member that is behind is not believed", granted(six), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{15 * ms, TermSeen{7}, "", 250 * ms},
		{20 * ms, Answered{1, at(10 * ms), 6, 6}, "missed@0, close 1, open 2@0, open 3@1, open 4@2", 270 * ms},
		{30 * ms, Answered{2, at(20 * ms), 6, 6}, "missed@0, close 2", 270 * ms},
		{40 * ms, Answered{3, at(30 * ms), 7, 6}, "until 5.33s, close 4", 330 * ms},
	}},
	{"nor when it says that the lease is gone", granted(six), []line{
		{0, TermSeen{7}, "open 1@0", 250 * ms},
		{20 * ms, Answered{1, at(10 * ms), 6, 0}, "missed@0, close 1, open 2@0, open 3@1, open 4@2", 270 * ms},
	}},
	{"a lost lease stays lost", granted(six), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{20 * ms, Answered{1, at(10 * ms), 6, 0}, "close 1, lost", never},
		{30 * ms, Answered{1, at(10 * ms), 6, 6}, "", never},
		{40 * ms, Resume{}, "", never},
	}},
	{"the leader's endpoint is preferred", granted(six), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{15 * ms, LeaderFound{2}, "", 250 * ms},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "until 5.31s, close 1", 310 * ms},
		{310 * ms, Tick{}, "open 2@2", 560 * ms},
		{330 * ms, Answered{2, at(320 * ms), 5, 6}, "until 5.62s", 620 * ms},
		{620 * ms, Tick{}, "send 3/2", 870 * ms},
	}},
	{"but not when it has failed since it was found", granted(Options{TTL: 6, Endpoints: 2, Leader: 1}), []line{
		{0, Tick{}, "open 1@1", 250 * ms},
		{250 * ms, Tick{}, "missed@1, open 2@1, open 3@0", 500 * ms},
		{260 * ms, Answered{3, at(250 * ms), 5, 6}, "until 5.55s, close 1, close 2", 550 * ms},
		{550 * ms, Tick{}, "send 4/3", 800 * ms},
		{560 * ms, Answered{4, at(550 * ms), 5, 6}, "until 5.85s", 850 * ms},
		{600 * ms, LeaderFound{1}, "", 850 * ms},
		{850 * ms, Tick{}, "send 5/3", 1100 * ms},
		{860 * ms, Answered{5, at(850 * ms), 5, 6}, "until 6.15s, close 3", 1150 * ms},
		{1150 * ms, Tick{}, "open 6@1", 1400 * ms},
	}},
	{"a pause gives up what is under way, and ends with a renewal", granted(six), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{15 * ms, Pause{}, "close 1", never},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "", never},
		{5000 * ms, Tick{}, "", never},
		{5100 * ms, Resume{}, "open 2@0", 5350 * ms},
		{5110 * ms, Answered{2, at(5100 * ms), 5, 6}, "until 10.4s", 5400 * ms},
		{5120 * ms, Pause{}, "close 2", never},
	}},
	{"a dropped lease is not renewed", granted(six), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{10 * ms, Drop{}, "close 1", never},
		{20 * ms, Answered{1, at(0), 5, 6}, "", never},
	}},
	{"without a bound renewals go on after the deadline", granted(alone), []line{
		{60 * time.Second, Tick{}, "open 1@0", 61 * time.Second},
	}},
	{"with EndAtDeadline the lease is lost then", granted(Options{TTL: 6, Endpoints: 1, Leader: -1, EndAtDeadline: true}), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{20 * ms, Answered{1, at(10 * ms), 5, 6}, "until 5.31s", 310 * ms},
		{5200 * ms, Tick{}, "send 2/1", 5310*ms - 110*ms/12},
		{5310 * ms, Answered{2, at(5200 * ms), 5, 6}, "close 1, lost", never},
	}},
	{"with EndAtDeadline also by a late answer that grants less", granted(Options{TTL: 6, Endpoints: 1, Leader: -1, EndAtDeadline: true}), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{1634 * ms, Answered{1, at(0), 5, 2}, "until 1.633333334s, close 1, lost", never},
	}},
	{"with EndAtDeadline even while it is paused", granted(Options{TTL: 6, Endpoints: 1, Leader: -1, EndAtDeadline: true}), []line{
		{0, Pause{}, "", 5300*ms - 5300*ms/12},
		{5300 * ms, Tick{}, "lost", never},
	}},
	{"another interval, for leases that do not end by themselves", granted(Options{TTL: 6, Endpoints: 1, Leader: -1, Interval: time.Minute}), []line{
		{0, Tick{}, "open 1@0", 250 * ms},
		{20 * ms, Answered{1, at(0), 5, 6}, "until 5.3s", 60 * time.Second},
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
