// Trials makes, for real and on this host, the bad states that a fleet meets, and prints of each what was promised and
// what was seen. It exits 0 only if every promise held.
//
//	go run ./hack/trials -bin bin            # all of them
//	go run ./hack/trials -bin bin killed     # one
//	go run ./hack/trials -bin bin -away 1m away
//
// A file is a trial. The short ones run in CI.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/hack/docs"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/fleet"
)

// A trial makes one state and looks at what comes of it. It leaves nothing running.
type trial struct {
	name  string
	about string
	// long trials take more than two minutes, or starve the host, and do not run in CI.
	long bool
	// root trials need the rights of root.
	root bool
	run  func(context.Context, *stage) error
}

var trials = []trial{
	{name: "killed", about: "a machine loses its power", run: killed},
	{name: "away", about: "etcd is away, with the only controller, and every command is asked", run: away},
	{name: "full-disk", about: "the disk of a machine's state is full", root: true, run: fullDisk},
	{name: "restart", about: "daemons are restarted with what a new one could not start with", run: restart},
	{name: "removed", about: "update removes a process that ignores its stop signal", run: removed},
	{name: "wiped", about: "etcd has lost everything, under a living fleet", run: wiped},
	{name: "restored", about: "etcd is what it was some time ago, under a living fleet", run: restored},
	{name: "grey", about: "a machine renews its leases and can start nothing", run: grey},
	{name: "twins", about: "one set of programs has two supervisors, or a machine a copy", root: true, run: twins},
	{name: "reinstalled", about: "a machine to which a program is pinned loses its state", root: true, run: reinstalled},
	{name: "etcdleader", about: "etcd's leader is killed, or hands over", long: true, run: etcdLeader},
	{name: "swallows", about: "a member of etcd takes connections and answers nothing", run: swallows},
	{name: "slow-disk", about: "an fsync of etcd takes seconds", long: true, run: slowDisk},
	{name: "frozenleader", about: "etcd's leader stands still for longer than every lease, and goes on", long: true, run: frozenLeader},
	{name: "starved", about: "the host of a whole fleet is overloaded", long: true, run: starved},
}

func main() {
	bin := flag.String("bin", "bin", "folder of the three binaries")
	absent := flag.Duration("away", 9*time.Minute, "how long etcd is away in the trial of that name")
	page := flag.String("page", "", "page whose part \"bad days\" gets the rows; none: they are printed only")
	flag.Usage = usage
	flag.Parse()
	chosen, err := choose(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "trials:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	held, err := runAll(ctx, *bin, *page, *absent, chosen)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "trials:", err)
		os.Exit(1)
	}
	if !held {
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintf(os.Stderr, "usage: trials [-bin DIR] [-page FILE] [NAME...]\n\n")
	for _, t := range trials {
		fmt.Fprintf(os.Stderr, "  %-12s %s\n", t.name, t.about)
	}
}

// choose is the trials of these names; all without any.
func choose(names []string) ([]trial, error) {
	if len(names) == 0 {
		return trials, nil
	}
	var chosen []trial
	for _, name := range names {
		i := slices.IndexFunc(trials, func(t trial) bool { return t.name == name })
		if i < 0 {
			var known []string
			for _, t := range trials {
				known = append(known, t.name)
			}
			return nil, fmt.Errorf("no trial is called %q; there are %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, trials[i])
	}
	return chosen, nil
}

func runAll(ctx context.Context, bin, page string, absent time.Duration, chosen []trial) (held bool, err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "trials-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := build.Programs(ctx, dir, "", "witness"); err != nil {
		return false, err
	}
	held = true
	var rows []row
	for _, t := range chosen {
		if t.root && os.Geteuid() != 0 {
			return false, fmt.Errorf("%s needs root", t.name)
		}
		s := &stage{Dir: filepath.Join(dir, t.name), Bin: bin, Witness: filepath.Join(dir, "witness"), Away: absent}
		fmt.Printf("\n## %s: %s\n\n", t.name, t.about)
		if err := s.play(ctx, t); err != nil {
			return false, fmt.Errorf("%s: %w", t.name, err)
		}
		fmt.Print(s.table())
		held, rows = held && s.held(), append(rows, s.Rows...)
	}
	if len(rows) > 0 {
		fmt.Printf("\n%s", rowTable(rows))
	}
	if page != "" {
		return held, docs.WriteFigures(page, "bad days", fleet.Host()+"\n\n"+rowTable(rows))
	}
	return held, nil
}
