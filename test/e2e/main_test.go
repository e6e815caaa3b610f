// Package e2e tests the built binaries end to end: real etcd, real processes, whole fleets on one host.
//
// What a fault leaves running is judged twice: by what the store says (client.Snapshot), and by the testimony of
// the processes themselves (package witness). Tests with Long in their name run only with DISTSUPER_LONG=1.
package e2e

import (
	"os"
	"testing"

	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/reaper"
)

// bin is the programs under test.
var bin = build.Folder{Names: build.Everything}

func TestMain(m *testing.M) { os.Exit(reaper.Run(func() int { return run(m) })) }

func run(m *testing.M) int {
	defer bin.Remove()
	return m.Run()
}
