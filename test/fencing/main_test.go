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
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/distsuper/distsuper/test/reaper"
	"github.com/distsuper/distsuper/test/witness"
)

// builds is the folder of the binaries of this test run.
var builds string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == witness.Role {
		os.Exit(witness.Main(os.Args[2:]))
	}
	os.Exit(reaper.Run(func() int { return run(m) }))
}

func run(m *testing.M) int {
	var err error
	if builds, err = os.MkdirTemp("", "distsuper-fencing-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(builds)
	flag.Parse()
	if err := flag.Set("test.parallel", "3"); err != nil { // they wait for leases, most of the time
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// fenced and unfenced are the folders with both kinds of binaries, built when first asked for.
var (
	fenced   = sync.OnceValues(func() (string, error) { return build("fenced") })
	unfenced = sync.OnceValues(func() (string, error) { return build("unfenced", "-tags", "distsuper_unfenced") })
)

func build(name string, flags ...string) (string, error) {
	bin := filepath.Join(builds, name)
	args := append([]string{"build", "-o", bin + "/"}, flags...)
	args = append(args, "github.com/distsuper/distsuper/cmd/distsuperd", "github.com/distsuper/distsuper/cmd/distsuperagent")
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return "", err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the %s binaries: %w\n%s", name, err, out)
	}
	return bin, nil
}
