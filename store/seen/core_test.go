package seen

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store"
)

const s = clock.Instant(time.Second)

func at(rev int64, term uint64) store.Mark { return store.Mark{Rev: rev, Term: term} }

func of(cluster uint64, rev int64, term uint64) store.Mark {
	return store.Mark{Rev: rev, Term: term, Cluster: cluster}
}

// schema is one that was accepted under an id, "" for one that never was.
func schema(id string, floor int64) api.Schema {
	s := api.Schema{Version: api.SchemaVersion, Floor: floor}
	if id != "" {
		s.Restored = &api.Restored{ID: id}
	}
	return s
}

// text writes effects short.
func text(effects []Effect) string {
	var words []string
	for _, e := range effects {
		switch e := e.(type) {
		case Save:
			words = append(words, fmt.Sprintf("save %d/%d", e.Record.Rev, e.Record.Term))
		case Condemn:
			words = append(words, "condemn")
		case Accept:
			words = append(words, "accept")
		}
	}
	return strings.Join(words, ", ")
}

// line is what one call of Step does.
type line struct {
	at      clock.Instant
	event   Event
	want    string // the effects
	mark    store.Mark
	trusted bool
}

var errDisk = errors.New("disk full")

// walks are what a test of Step goes through, each from a new one on.
var walks = []struct {
	name  string
	saved store.Mark
	lines []line
}{
	{"answers raise the mark and are believed", at(0, 0), []line{
		{1 * s, Answered{at(0, 0), at(5, 3)}, "save 5/3", at(5, 3), true},
		{1 * s, Answered{at(5, 3), at(5, 0)}, "", at(5, 3), true},
		{1 * s, Answered{at(5, 3), at(0, 3)}, "", at(5, 3), true},
		{1 * s, Answered{at(5, 3), at(9, 4)}, "", at(9, 4), true},
	}},
	{"a lower revision is condemned, for good", at(9, 4), []line{
		{1 * s, Answered{at(9, 4), at(8, 4)}, "condemn, save 9/4", at(9, 4), false},
		{1 * s, Answered{at(9, 4), at(12, 5)}, "", at(9, 4), false},
		{1 * s, Watched{13}, "", at(9, 4), false},
	}},
	{"a lower term alone is condemned", at(9, 4), []line{
		{1 * s, Answered{at(9, 4), at(10, 3)}, "condemn, save 9/4", at(9, 4), false},
	}},
	{"an acceptance that is new, and whose floor is above every token that was seen, leads out", at(9, 4), []line{
		{1 * s, Looked{at(9, 4), schema("old", 5)}, "save 9/4", at(9, 4), false},
		{1 * s, Answered{at(9, 4), at(2, 2)}, "condemn", at(9, 4), false},
		{1 * s, Looked{at(3, 2), schema("old", 5)}, "", at(9, 4), false},
		{1 * s, Looked{at(3, 2), schema("new", 14)}, "", at(9, 4), false}, // 5 + 9 may have been given
		{1 * s, Looked{at(3, 2), schema("", 0)}, "", at(9, 4), false},
		{1 * s, Looked{at(3, 2), schema("new", 15)}, "accept", at(3, 2), false},
		{1 * s, Found{"as somebody says late"}, "", at(3, 2), false}, // this life is over
		{1 * s, Answered{at(9, 4), at(4, 2)}, "", at(3, 2), false},
	}},
	{"a store that has become as old as it was is the one that forgot", at(9, 4), []line{
		{1 * s, Answered{at(9, 4), at(2, 2)}, "condemn, save 9/4", at(9, 4), false},
		{1 * s, Looked{at(20, 9), schema("", 0)}, "", at(9, 4), false},
	}},
	{"another cluster is condemned, whatever its numbers, and the return of the first ends that", of(7, 9, 4), []line{
		{1 * s, Answered{of(7, 9, 4), of(7, 9, 4)}, "", of(7, 9, 4), true},
		{1 * s, Answered{of(7, 9, 4), of(8, 90, 40)}, "condemn, save 9/4", of(7, 9, 4), false},
		{1 * s, Looked{of(8, 91, 40), schema("", 0)}, "", of(7, 9, 4), false},
		{1 * s, Looked{of(7, 8, 4), schema("", 0)}, "", of(7, 9, 4), false}, // it, too, went back
		{1 * s, Looked{of(7, 10, 5), schema("", 0)}, "accept", of(7, 10, 5), false},
	}},
	{"who follows the store may find what its numbers do not tell", at(9, 4), []line{
		{1 * s, Found{"a key stands as it was"}, "condemn, save 9/4", at(9, 4), false},
		{1 * s, Found{"another one, too"}, "", at(9, 4), false},
		{1 * s, Answered{at(9, 4), at(90, 4)}, "", at(9, 4), false},
	}},
	{"an answer that others overtook is as good as they are", at(9, 4), []line{
		{1 * s, Answered{at(9, 4), at(20, 4)}, "save 20/4", at(20, 4), true},
		{1 * s, Answered{at(9, 4), at(12, 4)}, "", at(20, 4), true},
	}},
	{"what a watch, a renewal or a member says only raises", at(9, 4), []line{
		{1 * s, Watched{5}, "", at(9, 4), false},
		{1 * s, Watched{10}, "save 10/4", at(10, 4), false},
		{1 * s, Renewed{5}, "", at(10, 5), false},
		{1 * s, MemberSaid{true, at(3, 2)}, "", at(10, 5), false},
		{1 * s, MemberSaid{true, at(11, 6)}, "", at(11, 6), false},
	}},
	{"the term of a member that does not lead counts for nothing", at(9, 4), []line{
		{1 * s, MemberSaid{false, at(10, 1000)}, "save 10/4", at(10, 4), false},
	}},
	{"without an answer the store is not trusted until there is one", at(9, 4), []line{
		{1 * s, Answered{at(9, 4), at(9, 4)}, "", at(9, 4), true},
		{1 * s, Unanswered{}, "", at(9, 4), false},
		{1 * s, Renewed{4}, "", at(9, 4), false},
		{1 * s, Answered{at(9, 4), at(9, 4)}, "", at(9, 4), true},
	}},
	{"the mark is saved once a second, and again after an error", at(0, 0), []line{
		{1 * s, Watched{1}, "save 1/0", at(1, 0), false},
		{1 * s, Watched{2}, "", at(2, 0), false},
		{1 * s, Saved{Record{Mark: at(1, 0)}, nil}, "", at(2, 0), false},
		{2*s - 1, Watched{3}, "", at(3, 0), false},
		{2 * s, Tick{}, "save 3/0", at(3, 0), false},
		{2 * s, Saved{Record{Mark: at(3, 0)}, errDisk}, "", at(3, 0), false},
		{3 * s, Tick{}, "save 3/0", at(3, 0), false},
		{3 * s, Saved{Record{Mark: at(3, 0)}, nil}, "", at(3, 0), false},
		{4 * s, Tick{}, "", at(3, 0), false},
	}},
}

func TestSteps(t *testing.T) {
	for _, c := range walks {
		t.Run(c.name, func(t *testing.T) {
			core := NewCore(Record{Mark: c.saved})
			for i, l := range c.lines {
				if got := text(core.Step(l.at, l.event)); got != l.want {
					t.Fatalf("%d: %#v: %q, want %q", i, l.event, got, l.want)
				}
				if core.Mark() != l.mark || core.Trusted() != l.trusted {
					t.Fatalf("%d: %#v: mark %v, trusted %v; want %v, %v", i, l.event, core.Mark(), core.Trusted(), l.mark, l.trusted)
				}
			}
		})
	}
}

// TestNoDaemonBelievesAStoreThatForgot: a store goes on and may be restored from a snapshot of before; a daemon asks it, is killed
// and starts again at any time. It believes no answer that lacks a change which an answer showed to it in this life, or which it had saved.
func TestNoDaemonBelievesAStoreThatForgot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var disk Record
		core, now := NewCore(disk), clock.Instant(1)
		real, shown := at(1, 1), at(0, 0) // the store's, and the highest that this life was shown
		restored := false                 // to before what was shown
		var saving []Save
		step := func(e Event) {
			for _, effect := range core.Step(now, e) {
				if save, ok := effect.(Save); ok {
					saving = append(saving, save)
				}
			}
			if len(saving) > 1 {
				t.Fatal("two saves at a time")
			}
			if core.Mark().Before(shown) && !core.Condemned() {
				t.Fatalf("it has forgotten %v: %v", shown, core.Mark())
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now += clock.Instant(rapid.IntRange(0, int(s)).Draw(t, "ns"))
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0, 1, 2:
				real.Rev++
			case 3:
				real.Term++
			case 4:
				real = at(rapid.Int64Range(1, real.Rev).Draw(t, "rev"), rapid.Uint64Range(1, real.Term).Draw(t, "term"))
				restored = restored || real.Before(shown)
			case 5: // killed, and started again
				core, saving, restored, shown = NewCore(disk), nil, real.Before(disk.Mark) || disk.Behind != nil, disk.Mark
			case 6:
				for _, save := range saving {
					disk, saving = save.Record, nil
					step(Saved{Record: save.Record})
				}
			default:
				answer := real
				step(Answered{Floor: core.Mark(), At: answer})
				if answer.Before(shown) != core.Condemned() && !restored {
					t.Fatalf("shown %v, answered %v: condemned %v", shown, answer, core.Condemned())
				}
				if answer.Before(shown) && !core.Condemned() {
					t.Fatalf("%v was believed after %v", answer, shown)
				}
				if !core.Condemned() {
					shown = shown.Raised(answer)
				}
			}
		}
	})
}
