// Package fencing shows the promise on which everything rests: never two copies of a process. It runs whole clusters
// as built binaries, with real etcd servers and real processes that testify when they lived, stops,
// kills and cuts off agents and keepers while their processes live on, and judges from the
// testimonies alone. The same judge must see two copies when the keepers enforce no deadline.
//
// It leaves out what no program on the host can guarantee: a host that is paused as a whole, and agent, keeper and
// guardian all frozen together.
package fencing

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/reaper"
	"github.com/distsuper/distsuper/test/witness"
)

// fenced and unfenced are both kinds of programs.
var (
	fenced   = build.Folder{Names: []string{"distsuperd", "distsuperagent"}}
	unfenced = build.Folder{Names: []string{"distsuperd", "distsuperagent"}, Tags: "distsuper_unfenced"}
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == witness.Role {
		os.Exit(witness.Main(os.Args[2:]))
	}
	os.Exit(reaper.Run(func() int { return run(m) }))
}

func run(m *testing.M) int {
	defer fenced.Remove()
	defer unfenced.Remove()
	flag.Parse()
	if err := flag.Set("test.parallel", "3"); err != nil { // they wait for leases, most of the time
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
