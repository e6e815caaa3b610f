package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
			for _, tool := range tr.tools {
				if _, err := exec.LookPath(tool); err != nil {
					gate.Cannot(t, "%v", err)
				}
			}
			if slices.Contains(tr.tools, "nsenter") && exec.Command("unshare", "--net", "true").Run() != nil {
				gate.Cannot(t, "this host lets nobody make network namespaces")
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
