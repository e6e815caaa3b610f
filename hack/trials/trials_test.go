package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/reaper"
)

var bin = build.Folder{Names: build.Everything}

func TestMain(m *testing.M) { os.Exit(reaper.Run(func() int { return run(m) })) }

func run(m *testing.M) int {
	defer bin.Remove()
	return m.Run()
}

// TestLongTrials plays the short trials. Every promise has to hold.
func TestLongTrials(t *testing.T) {
	gate.Long(t)
	for _, tr := range trials {
		if tr.long {
			continue
		}
		t.Run(tr.name, func(t *testing.T) {
			if tr.root {
				gate.Root(t)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			s := &stage{Dir: filepath.Join(t.TempDir(), tr.name), Bin: bin.Path(t), Witness: bin.Program(t, "witness")}
			if err := s.play(ctx, tr); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s\n%s", tr.about, s.table())
			if !s.held() {
				t.Error("not every promise held")
			}
		})
	}
}
