// Trials makes, for real and on this host, the bad states that a fleet meets, and prints of each what was promised and
// what was seen. It exits 0 only if every promise held.
//
//	go run ./hack/trials -bin bin            # all of them
//	go run ./hack/trials -bin bin killed     # one
//	go run ./hack/trials -bin bin -away 1m away
//	go run ./hack/trials -bin bin -away 10m -page hack/docs/safety.md -part outage outage
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
	// tools that must be installed.
	tools []string
	run   func(context.Context, *stage) error
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
	{name: "outage", about: "all of etcd is away, with three controllers and machines", root: true, tools: []string{"ip", "nft", "nsenter", "etcd"}, run: outage},
	{name: "etcdleader", about: "etcd's leader is killed, or hands over", long: true, run: etcdLeader},
	{name: "swallows", about: "a member of etcd takes connections and answers nothing", run: swallows},
	{name: "slow-disk", about: "an fsync of etcd takes seconds", long: true, run: slowDisk},
	{name: "frozenleader", about: "etcd's leader stands still for longer than every lease, and goes on", long: true, run: frozenLeader},
	{name: "reboot", about: "the only distsuperd and its etcd are away for three minutes, on purpose", long: true, run: reboot},
	{name: "starved", about: "the host of a whole fleet is overloaded", long: true, run: starved},
}

func main() {
	bin := flag.String("bin", "bin", "folder of the three binaries")
	absent := flag.Duration("away", 9*time.Minute, "how long etcd is away in the trials away and outage")
	page := flag.String("page", "", "page into which the rows are written; none: they are printed only")
	part := flag.String("part", "bad days", "the part of the page that gets them")
	flag.Usage = usage
	flag.Parse()
	chosen, err := choose(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "trials:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	host := fleet.Host()
	held, rows, err := runAll(ctx, *bin, *absent, chosen)
	stop()
	if err == nil && *page != "" {
		err = docs.WriteFigures(*page, *part, host+"\n\n"+rowTable(rows))
	}
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

func runAll(ctx context.Context, bin string, absent time.Duration, chosen []trial) (held bool, rows []row, err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return false, nil, err
	}
	dir, err := os.MkdirTemp("", "trials-")
	if err != nil {
		return false, nil, err
	}
	defer os.RemoveAll(dir)
	if err := build.Programs(ctx, dir, "", "witness"); err != nil {
		return false, nil, err
	}
	held = true
	for _, t := range chosen {
		if t.root && os.Geteuid() != 0 {
			return false, nil, fmt.Errorf("%s needs root", t.name)
		}
		s := &stage{Dir: filepath.Join(dir, t.name), Bin: bin, Witness: filepath.Join(dir, "witness"), Away: absent}
		fmt.Printf("\n## %s: %s\n\n", t.name, t.about)
		if err := s.play(ctx, t); err != nil {
			return false, nil, fmt.Errorf("%s: %w", t.name, err)
		}
		fmt.Print(s.table())
		held, rows = held && s.held(), append(rows, s.Rows...)
	}
	if len(rows) > 0 {
		fmt.Printf("\n%s", rowTable(rows))
	}
	return held, rows, nil
}
