// Failover measures how fast a fleet on this host gets over a death: of a machine, of the leading distsuperd, and
// over a planned leave. It prints every round, of those that took longer than promised the whole timeline, and
// a table, which it also writes into a page.
//
//	go run ./hack/failover -bin bin -n 20 -page hack/docs/figures.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/hack/docs"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/fleet"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the three binaries")
	rounds := flag.Int("n", 20, "rounds of each measurement; half as many of the deaths of large machines")
	only := flag.String("only", "", "deaths: nothing but the deaths of machines")
	page := flag.String("page", "", "page in which the figures are to stand; none: they are printed only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *bin, *rounds, *only, *page)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

// measure is one row of the table.
type measure struct {
	name    string
	promise time.Duration
	took    []time.Duration
}

func run(ctx context.Context, bin string, rounds int, only, page string) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	host := fleet.Host()
	dir, err := os.MkdirTemp("", "failover-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	witness := filepath.Join(dir, "witness")
	if err := build.Programs(ctx, dir, "", "witness"); err != nil {
		return err
	}
	f, err := fleet.Start(ctx, fleet.Options{Dir: dir, Bin: bin, Witness: witness, Controllers: 2, Machines: 3})
	if err != nil {
		return err
	}
	defer f.Close()
	b := &bench{Fleet: f, tape: newTape(ctx, f.Client)}
	defer b.tape.close()
	var table []measure
	for _, d := range []struct{ seconds, size, rounds int }{{2, usual, rounds}, {5, usual, rounds}, {2, 3, rounds / 2}, {2, 60, rounds / 2}, {2, 300, rounds / 2}} {
		m, err := b.machineDeaths(ctx, d.seconds, d.size, d.rounds)
		table = append(table, m)
		if err != nil {
			return err
		}
	}
	rest := []func(context.Context, int) (measure, error){b.drains, b.leaderDeaths, b.resignations}
	if only == "deaths" {
		rest = nil
	}
	for _, step := range rest {
		m, err := step(ctx, rounds)
		table = append(table, m)
		if err != nil {
			return err
		}
	}
	figures := show(host, table)
	fmt.Print("\n" + figures)
	if err := b.onceEach(); err != nil || page == "" {
		return err
	}
	return docs.WriteFigures(page, "failover", figures)
}

// show is the table, with what it was measured on.
func show(host string, table []measure) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n\n| measured | rounds | p50 | max | promised | later than that |\n|---|---|---|---|---|---|\n", host)
	for _, m := range table {
		late := 0
		for _, t := range m.took {
			if t > m.promise {
				late++
			}
		}
		fmt.Fprintf(&s, "| %s | %d | %s | %s | %s | %d |\n", m.name, len(m.took), fleet.Millis(fleet.Quantile(m.took, 0.5)),
			fleet.Millis(fleet.Quantile(m.took, 1)), fleet.Millis(m.promise), late)
	}
	return s.String()
}

// add takes a round in and prints it, with its timeline when it took too long.
func (m *measure) add(took time.Duration, detail string, timeline func() string) {
	m.took = append(m.took, took)
	fmt.Printf("%s, round %d: %s%s\n", m.name, len(m.took), fleet.Millis(took), detail)
	if took > m.promise {
		fmt.Printf("  later than %s:\n%s", fleet.Millis(m.promise), timeline())
	}
}

var errTwice = errors.New("a process ran twice at once")
