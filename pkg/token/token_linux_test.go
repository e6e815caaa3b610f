package token

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/token/page"
)

// held is a process's place in the hands of a test, and its environment.
type held struct {
	book  *page.Book
	place *page.Place
	env   map[string]string
}

func hold(t *testing.T) *held {
	t.Helper()
	book, err := page.NewBook()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(book.Close)
	h := &held{book: book, place: book.Take()}
	h.env = h.place.Environment()
	_, rest, _ := strings.Cut(h.env[page.Variable], ":")
	h.env[page.Variable] = strconv.Itoa(book.Descriptor()) + ":" + rest // it is 3 in a process that a keeper starts
	h.env["DISTSUPER_TOKEN"], h.env["DISTSUPER_PROCESS"] = "7", "web:a"
	return h
}

func (h *held) token(t *testing.T) *Token {
	t.Helper()
	token, err := from(func(name string) string { return h.env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// in are limits so long from now; the stop comes a little before the end.
func in(d time.Duration) page.Limits {
	m := deadline.Now(clock.Real{})
	until := deadline.Deadline{Boot: int64(m.Boot) + int64(d), Raw: m.Raw + int64(d)}
	return page.Limits{Until: until, Stop: until.Before(min(d/2, time.Second))}
}

func TestATokenTellsWhatTheKeeperWrote(t *testing.T) {
	h := hold(t)
	token := h.token(t)
	if token.Number() != 7 || token.Process() != "web:a" {
		t.Errorf("token %d of %q", token.Number(), token.Process())
	}
	if token.Left() > 0 || time.Until(token.MayActUntil()) > 0 {
		t.Errorf("before anything is told it may act for %v", token.Left())
	}
	h.place.Set(in(time.Hour))
	if left := token.Left(); left > time.Hour || left < 50*time.Minute {
		t.Errorf("of an hour %v are left", left)
	}
	if until := time.Until(token.MayActUntil()); until > time.Hour || until < 50*time.Minute {
		t.Errorf("of an hour %v are left", until)
	}
	h.place.Set(page.Limits{Until: deadline.None, Stop: deadline.None})
	if time.Until(token.MayActUntil()) < 24*365*time.Hour {
		t.Errorf("without a deadline it may act until %v", token.MayActUntil())
	}
	ctx, cancel := context.WithDeadline(context.Background(), token.MayActUntil())
	defer cancel()
	if ctx.Err() != nil {
		t.Errorf("a context without a deadline: %v", ctx.Err())
	}
	h.place.Free()
	if token.Left() > 0 {
		t.Errorf("when its run is forgotten it may act for %v", token.Left())
	}
}

// The clock that is ahead counts: one that somebody slows down does not make a process live longer.
func TestEitherClockEndsAToken(t *testing.T) {
	h := hold(t)
	for _, slow := range []func(*deadline.Deadline){func(d *deadline.Deadline) { d.Boot = 0 }, func(d *deadline.Deadline) { d.Raw = 0 }} {
		l := in(time.Hour)
		slow(&l.Until)
		h.place.Set(l)
		if token := h.token(t); token.Left() > 0 {
			t.Errorf("it may act for %v", token.Left())
		}
	}
}

func TestAContextEndsWithItsToken(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(h *held)
	}{
		{"the stop comes, and nobody says so", func(h *held) { h.place.Set(in(time.Millisecond)) }},
		{"a copy is fenced, and its lease renewed", func(h *held) { h.place.Set(page.Limits{Until: in(time.Hour).Until}) }},
		{"a deadline is given to one that had none", func(h *held) {
			h.place.Set(page.Limits{Until: deadline.None, Stop: deadline.None})
			h.place.Set(in(time.Millisecond))
		}},
		{"the run is forgotten", func(h *held) { h.place.Free() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := hold(t)
			h.place.Set(in(time.Hour))
			token := h.token(t)
			ctx, cancel := token.Context(context.Background())
			defer cancel()
			other, giveUp := token.Context(context.Background())
			giveUp()
			if !errors.Is(context.Cause(other), context.Canceled) || ctx.Err() != nil {
				t.Errorf("one context is cancelled: %v, and the other: %v", context.Cause(other), ctx.Err())
			}
			row.end(h)
			<-token.Lost()
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrLost) {
				t.Errorf("it ends for %v", context.Cause(ctx))
			}
		})
	}
}

// A renewal moves the deadline of one who waits, without waking it.
func TestAContextLivesOnWithRenewals(t *testing.T) {
	h := hold(t)
	h.place.Set(in(20 * time.Millisecond))
	token := h.token(t)
	ctx, cancel := token.Context(context.Background())
	defer cancel()
	h.place.Set(in(time.Hour))
	changes := token.view.Changes()
	if ctx.Err() != nil { // a starved host: it had ended before
		return
	}
	h.place.Set(in(2 * time.Hour))
	if token.view.Changes() != changes {
		t.Error("a renewal wakes who waits")
	}
	h.place.Free()
	<-ctx.Done()
}

func TestWhatIsNoTokenIsTold(t *testing.T) {
	h := hold(t)
	other, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	at := h.env[page.Variable]
	_, rest, _ := strings.Cut(at, ":")
	for _, row := range []struct {
		name, token, page string
		none              bool
	}{
		{"nothing", "", "", true},
		{"an older keeper", "7", "", true},
		{"no number", "x", at, false},
		{"no address", "7", "3", false},
		{"an offset between two places", "7", "3:65:9", false},
		{"a descriptor that is closed", "7", "999999:" + rest, false},
		{"a descriptor that is another", "7", strconv.Itoa(int(other.Fd())) + ":" + rest, false},
	} {
		env := map[string]string{"DISTSUPER_TOKEN": row.token, page.Variable: row.page}
		token, err := from(func(name string) string { return env[name] })
		if err == nil || errors.Is(err, ErrNone) != row.none {
			t.Errorf("%s: %+v, %v", row.name, token, err)
		}
	}
}

func TestPlacesAreUsedAgainByOthersOnly(t *testing.T) {
	h := hold(t)
	h.place.Set(in(time.Hour))
	token := h.token(t)
	h.place.Free()
	next := &held{book: h.book, place: h.book.Take()}
	next.place.Set(in(time.Hour))
	_, at, _ := strings.Cut(next.place.Environment()[page.Variable], ":")
	if old := h.env[page.Variable]; strings.Split(old, ":")[1] != strings.Split(at, ":")[0] || strings.HasSuffix(old, at) {
		t.Errorf("the place %s is given out again as %s", old, at)
	}
	if token.Left() > 0 {
		t.Errorf("the old run may act for %v, by the deadline of the next", token.Left())
	}
}

func BenchmarkLeft(b *testing.B) {
	book, err := page.NewBook()
	if err != nil {
		b.Fatal(err)
	}
	defer book.Close()
	place := book.Take()
	place.Set(in(time.Hour))
	a, _ := page.ParseAddress(place.Environment()[page.Variable])
	a.Descriptor = book.Descriptor()
	view, err := page.Open(a)
	if err != nil {
		b.Fatal(err)
	}
	t := &Token{view: view}
	for b.Loop() {
		t.Left()
	}
}

func BenchmarkRenewal(b *testing.B) {
	book, err := page.NewBook()
	if err != nil {
		b.Fatal(err)
	}
	defer book.Close()
	place, l := book.Take(), in(time.Hour)
	for b.Loop() {
		l.Until.Boot++
		place.Set(l)
	}
}
