// Package e2e tests the built binaries end to end: real etcd, real processes, whole fleets on one host.
//
// What a fault leaves running is judged twice: by what the store says (client.Snapshot), and by the testimony of
// the processes themselves (package witness). Tests with Long in their name run only with DISTSUPER_LONG=1.
package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/reaper"
)

// bin is the folder of the binaries under test: DISTSUPER_TEST_BIN, or one that TestMain builds.
var bin string

func TestMain(m *testing.M) { os.Exit(reaper.Run(func() int { return run(m) })) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "distsuper-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if bin = os.Getenv("DISTSUPER_TEST_BIN"); bin == "" {
		bin = dir
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		// Others than we run them, too.
		if err := os.Chmod(dir, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := fleet.Build(ctx, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}
