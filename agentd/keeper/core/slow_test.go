package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// slow is a shell on a starved host: each spawn takes long.
type slow struct {
	free
	now   clock.Instant
	takes time.Duration
}

func (s *slow) Moment() deadline.Moment { return deadline.Moment{Boot: s.now, Raw: int64(s.now)} }

func (s *slow) Do(effect Effect) Event {
	if _, spawns := effect.(Spawn); spawns {
		s.now = s.now.Add(s.takes)
	}
	return s.free.Do(effect)
}

func TestABurstOfSlowStartsIsInterruptedForWhatKeepsTheOthersAlive(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		want  int // spawns in a turn
	}{
		{time.Millisecond, SpawnsPerTurn},
		{SpawnTime / 4, 4},
		{5 * SpawnTime, 1},
	} {
		t.Run(c.takes.String(), func(t *testing.T) {
			s := &slow{now: clock.Instant(time.Hour), takes: c.takes}
			core := New(s.Moment(), Options{})
			for i := range 40 {
				if err := core.Drive(s, s.Moment(), kept(web(fmt.Sprint("p", i)), 7)); err != nil {
					t.Fatal(err)
				}
			}
			for turns := 1; turns <= 3; turns++ {
				core.Finish(s)
				if s.pid != min(turns*c.want, 40) {
					t.Fatalf("%d spawns after %d turns, want %d", s.pid, turns, turns*c.want)
				}
				_ = core.Drive(s, s.Moment(), Tick{})
			}
		})
	}
}
