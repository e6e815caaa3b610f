// Overload starves this host on purpose, with a fleet on it, and prints what the fleet does about it: machines lost, processes
// fenced and moved. Nobody is killed, so all of that is false, and the goal is none of it.
//
//	go run ./hack/overload -bin bin -hogs 100 -last 60s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/hack/docs"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/starve"
)

func main() {
	o := starve.Usual()
	flag.StringVar(&o.Bin, "bin", "bin", "folder of the three binaries")
	flag.IntVar(&o.Hogs, "hogs", o.Hogs, "processes that want the processor all the time")
	flag.IntVar(&o.Nice, "nice", o.Nice, "nice value of these; -10 is that of root's daemons")
	flag.IntVar(&o.Machines, "machines", o.Machines, "machines of the fleet, all on this host")
	flag.IntVar(&o.Once, "once", o.Once, "processes that may only run once, and testify")
	flag.IntVar(&o.Sleepers, "sleepers", o.Sleepers, "processes that sleep")
	flag.IntVar(&o.TouchTimeout, "touch-timeout", o.TouchTimeout, "of all processes, in seconds")
	flag.DurationVar(&o.Last, "last", o.Last, "how long the host is starved")
	page := flag.String("page", "", "page in which the figures are to stand; none: they are printed only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, *page)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
}

var errFalse = errors.New("the fleet acted though nothing had happened")

func run(ctx context.Context, o starve.Options, page string) error {
	bin, err := filepath.Abs(o.Bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "overload-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build.Programs(ctx, dir, "", "witness"); err != nil {
		return err
	}
	o.Bin, o.Dir, o.Witness = bin, filepath.Join(dir, "fleet"), filepath.Join(dir, "witness")
	if err := os.Mkdir(o.Dir, 0o700); err != nil {
		return err
	}
	began := time.Now()
	o.Say = func(what string) { fmt.Printf("%5.1f s  %s\n", time.Since(began).Seconds(), what) }
	host := fleet.Host()
	seen, err := starve.Run(ctx, o)
	if err != nil {
		return err
	}
	figures := host + "\n\n" + seen.Table()
	fmt.Print("\n" + figures)
	switch {
	case seen.False():
		return errFalse
	case page == "":
		return nil
	}
	return docs.WriteFigures(page, "overload", figures)
}
