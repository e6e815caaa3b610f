// Chaos plays rounds of real faults on this host, and writes each into a ledger: see package test/chaos. It needs root, etcd, nft, ip
// and unshare.
//
//	go run ./hack/chaos -n 1000            # until 1,000 faults of this commit stand in the ledger
//	go run ./hack/chaos -seed 17 -n 1      # that round, again
//	go run ./hack/chaos -n 0               # only the tables
//
// It may be interrupted, and goes on where it was. At its end it writes what stands in the ledger as tables into README and the page.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/hack/docs"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/chaos"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == chaos.Role {
		os.Exit(chaos.Main(os.Args[2:]))
	}
	var c campaign
	flag.StringVar(&c.bin, "bin", "bin", "folder of the three binaries")
	flag.IntVar(&c.n, "n", 100, "how many faults of this commit are to stand in the ledger")
	flag.Uint64Var(&c.seed, "seed", 0, "of the only round that is played, with all of its faults; 0: fresh ones")
	flag.BoolVar(&c.selftest, "selftest", false, "succeed only if the witnesses see two copies, as keepers that enforce nothing let them")
	flag.StringVar(&c.only, "only", "", "the only kind of fault, on one host after the other; it takes -seed, and a -ledger of its own")
	flag.IntVar(&c.each, "faults", 20, "faults of a round")
	flag.IntVar(&c.jobs, "jobs", 1, "rounds at a time, which then starve each other")
	flag.IntVar(&c.hogs, "hogs", 4*runtime.NumCPU(), "processes that starve every second round")
	flag.StringVar(&c.ledger, "ledger", standing, "file to which each round is added")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// standing is the ledger of which the tables are made.
const standing = "test/chaos/ledger.tsv"

// campaign is a row of rounds.
type campaign struct {
	bin, ledger, only   string
	n, each, jobs, hogs int
	seed                uint64
	selftest            bool

	programs string // the folder of all of them
	commit   string
	mu       sync.Mutex // guards what follows
	begun    int        // faults of rounds that are played, or were
	next     uint64
	failed   []string
}

func (c *campaign) run(ctx context.Context) error {
	var err error
	if c.programs, err = os.MkdirTemp("", "chaos-bin-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.programs)
	if err := c.prepare(ctx); err != nil {
		return err
	}
	var group sync.WaitGroup
	for range c.jobs {
		group.Go(func() {
			for seed, ok := c.take(); ok && ctx.Err() == nil; seed, ok = c.take() {
				if err := c.play(ctx, seed); err != nil && ctx.Err() == nil {
					c.fail("seed %d: %v", seed, err)
				}
			}
		})
	}
	group.Wait()
	if c.ledger == standing {
		if err := writeTables(); err != nil {
			return err
		}
	}
	for _, text := range c.failed {
		fmt.Println("FAILED", text)
	}
	if len(c.failed) > 0 {
		return fmt.Errorf("%d rounds failed", len(c.failed))
	}
	return ctx.Err()
}

// prepare copies the programs, so that a build meanwhile changes nothing, and sees how far the ledger is.
func (c *campaign) prepare(ctx context.Context) error {
	for _, name := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		text, err := os.ReadFile(filepath.Join(c.bin, name))
		if err != nil {
			return fmt.Errorf("%w (make build makes it)", err)
		}
		if err := os.WriteFile(filepath.Join(c.programs, name), text, 0o755); err != nil {
			return err
		}
	}
	if err := build.Programs(ctx, c.programs, "", "witness"); err != nil {
		return err
	}
	entries, err := chaos.ReadLedger(c.ledger)
	if err != nil {
		return err
	}
	c.commit, c.next = chaos.Commit(ctx), 1
	for _, e := range entries {
		c.next = max(c.next, e.Seed+1)
		if e.Commit == c.commit {
			c.begun += e.Faults
		}
	}
	fmt.Printf("%d of %d faults of %s stand in %s\n", c.begun, c.n, c.commit, c.ledger)
	return nil
}

// writeTables writes what stands in the ledger into README and the page.
func writeTables() error {
	entries, err := chaos.ReadLedger(standing)
	if err != nil {
		return err
	}
	families, err := chaos.FamiliesTable(entries)
	if err != nil {
		return err
	}
	perKind, err := chaos.KindsTable(entries)
	if err != nil {
		return err
	}
	const page = "hack/docs/chaos.md"
	return errors.Join(docs.WriteFigures("README.md", "chaos", families), docs.WriteFigures(page, "kinds", perKind),
		docs.WriteFigures(page, "commits", chaos.CommitsTable(entries)))
}

// take is the seed of the next round.
func (c *campaign) take() (seed uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.seed > 0:
		seed, c.seed, c.n = c.seed, 0, 0
		return seed, true
	case c.begun >= c.n:
		return 0, false
	}
	c.begun += c.each
	c.next++
	return c.next - 1, true
}

func (c *campaign) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, fmt.Sprintf(format, args...))
}

// errBroken is of a round that shows a fault of what was tried, or could not be played to its end.
var errBroken = errors.New("not held")

func (c *campaign) play(ctx context.Context, seed uint64) error {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return err
	}
	began := time.Now()
	res, err := chaos.Play(ctx, chaos.Options{Seed: seed, Faults: c.each, Dir: dir, Bin: c.programs, Hogs: c.hogs, Only: c.only})
	if err != nil {
		return err
	}
	e := chaos.NewEntry(began, c.commit, res)
	if err := chaos.Append(c.ledger, e); err != nil {
		return err
	}
	fmt.Printf("%s  seed %d: %d faults, %s, in %v\n", time.Now().Format(time.TimeOnly), seed, e.Faults, e.Verdict(), time.Since(began).Round(time.Second))
	if c.selftest && e.Overlaps == 0 {
		return errors.New("the witnesses saw no two copies, though no keeper enforced a deadline")
	}
	if c.selftest || res.Held(!e.Starved) {
		return os.RemoveAll(dir)
	}
	fmt.Print(chaos.Story(res, dir))
	return fmt.Errorf("%w: %s; all of it is in %s, and `make chaos SEED=%d` plays it again", errBroken, e.Verdict(), dir, seed)
}
