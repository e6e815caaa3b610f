// Soak runs a fleet on this host for long, with starts, stops, crashes, moves and exchanged agents going on, and prints whether its
// daemons stay as small as they were: goroutines, descriptors, threads and memory.
//
//	go run ./hack/soak -bin bin -last 30m
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
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/soak"
)

func main() {
	o := soak.Usual()
	flag.StringVar(&o.Bin, "bin", "bin", "folder of the three binaries")
	flag.IntVar(&o.Machines, "machines", o.Machines, "machines of the fleet, all on this host")
	flag.IntVar(&o.Steady, "steady", o.Steady, "processes that run all the time")
	flag.IntVar(&o.Passing, "passing", o.Passing, "processes that are made and removed in each round")
	flag.DurationVar(&o.Last, "last", o.Last, "how long")
	page := flag.String("page", "", "write the table into this page, too, when nothing has grown")
	flag.Uint64Var(&o.Seed, "seed", o.Seed, "of what happens to whom")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, *page)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o soak.Options, page string) error {
	bin, err := filepath.Abs(o.Bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	o.Bin, o.Dir = bin, dir
	began := time.Now()
	o.Say = func(what string) { fmt.Printf("%6.0f s  %s\n", time.Since(began).Seconds(), what) }
	host := fleet.Host()
	series, err := soak.Run(ctx, o)
	figures := fmt.Sprintf("%s, %v\n\n%s", host, o.Last, series.Table())
	fmt.Print("\n" + figures)
	if err != nil {
		return fmt.Errorf("%w\nthe logs of the daemons are in %s", err, dir)
	}
	defer os.RemoveAll(dir)
	grown, err := series.Growth()
	if err == nil && len(grown) > 0 {
		err = errors.New("grown: " + strings.Join(grown, "; "))
	}
	if err != nil || page == "" {
		return err
	}
	return docs.WriteFigures(page, "soak", figures)
}
