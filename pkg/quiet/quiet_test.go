package quiet

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestAnErrorThatGoesOnIsOneLineAndThenACount: an error of 600 bytes was written every five seconds, for as long as it lasted.
func TestAnErrorThatGoesOnIsOneLineAndThenACount(t *testing.T) {
	seen, logs := observer.New(zap.InfoLevel)
	now := time.Unix(1000, 0)
	began := now
	log := zap.New(&errorCore{Core: seen, counter: NewCounter(Most, func() time.Time { return now })}).Named("follow").With(zap.String("machine", "m1"))
	var at []string
	for i := range 720 { // an hour
		before := logs.Len()
		log.Error("the keys cannot be followed", zap.Error(fmt.Errorf("revision %d was seen", 100+i)))
		if logs.Len() > before {
			at = append(at, fmt.Sprint(now.Sub(began), " ", logs.All()[before].ContextMap()[TimesField]))
		}
		now = now.Add(5 * time.Second)
	}
	want := []string{"0s <nil>", "1m0s 11", "3m0s 23", "7m0s 47", "15m0s 95", "25m0s 119", "35m0s 119", "45m0s 119", "55m0s 119"}
	if !slices.Equal(at, want) {
		t.Errorf("told at %q, want %q", at, want)
	}
	now = now.Add(time.Hour)
	log.Error("the keys cannot be followed", zap.Error(errors.New("revision 7 was seen")))
	now = now.Add(Least)
	log.Error("the keys cannot be followed", zap.Error(errors.New("revision 7 was seen")))
	now = now.Add(Least)
	log.Error("the keys cannot be followed", zap.Error(errors.New("revision 7 was seen")))
	if n := logs.Len(); n != len(want)+3 {
		t.Errorf("%d lines: what has been calm is told as at first", n-len(want))
	}
}

func TestWhatIsNotTheSameErrorIsToldEachTime(t *testing.T) {
	seen, logs := observer.New(zap.InfoLevel)
	log := zap.New(Errors(seen))
	same := errors.New("no such file")
	for _, name := range []string{"web_1", "web_2"} {
		log.Warn("it cannot start", zap.String("process", name), zap.Error(same))
		log.With(zap.String("process", name)).Warn("it cannot stop", zap.Error(same))
		log.Error("it cannot start", zap.String("process", name), zap.Error(same))
		log.Warn("it cannot start", zap.String("process", name), zap.Error(errors.New("another")))
		for range 2 {
			log.Info("tried", zap.Error(same))
			log.Warn("etcd is silent", zap.String("process", name))
		}
	}
	if n := logs.Len(); n != 16 {
		t.Errorf("%d lines of 16", n)
	}
	log.Warn("it cannot start", zap.Error(same), zap.String("process", "web_1"))
	if n := logs.Len(); n != 16 {
		t.Errorf("the same one again was told")
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	c := NewCounter(Least, func() time.Time { return now })
	told := 0
	for i := range 3 * mostKnown {
		if _, _, tell := c.Count(fmt.Sprint(i), "others"); tell {
			told++
		}
	}
	if len(c.known) != mostKnown+1 || told != mostKnown+1 {
		t.Errorf("%d are remembered, %d were told", len(c.known), told)
	}
	now = now.Add(Least)
	if as, more, tell := c.Count("others", "others"); as != "others" || more != 2*mostKnown-1 || !tell {
		t.Errorf("of the others it says %q, %d, %v", as, more, tell)
	}
	if as, _, tell := c.Count("a new one", "others"); as != "a new one" || !tell {
		t.Errorf("after a while there is no room: %q, %v", as, tell)
	}
}
