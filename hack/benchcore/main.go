// Benchcore measures what distsuper costs on this host: a restart in place beside a bare fork+exec loop of the same
// run, the start and stop of 300 processes, the CPU and memory of the daemons when nothing happens, and what distsuperd
// solo costs. It prints tables, which it also writes into a page.
//
//	go run ./hack/benchcore -bin bin -page hack/docs/figures.md
//	go run ./hack/benchcore -bin bin -only solo
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
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
	kills := flag.Int("kills", 200, "crashes to measure")
	size := flag.Int("size", 300, "processes of the large fleet")
	idle := flag.Duration("idle", 30*time.Second, "how long to look at the idle daemons")
	many := flag.Int("many", 1000, "sleepers that solo starts")
	rounds := flag.Int("rounds", 9, "starts of solo")
	only := flag.String("only", "", "solo: nothing but solo")
	page := flag.String("page", "", "page in which the figures are to stand; none: they are printed only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var figures strings.Builder
	out := io.MultiWriter(os.Stdout, &figures)
	err := run(ctx, out, *bin, func(ctx context.Context, dir, bin string) error {
		if *only != "solo" {
			if err := inFleet(ctx, out, dir, bin, *kills, *size, *idle); err != nil {
				return err
			}
		}
		return alone(ctx, out, dir, bin, *many, *rounds, *idle)
	})
	if err == nil && *page != "" {
		err = docs.WriteFigures(*page, "bench-core", figures.String())
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchcore:", err)
		os.Exit(1)
	}
}

// run has something measured in a temporary directory.
func run(ctx context.Context, out io.Writer, bin string, measure func(ctx context.Context, dir, bin string) error) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, fleet.Host())
	dir, err := os.MkdirTemp("", "benchcore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return measure(ctx, dir, bin)
}

// inFleet measures controller, agents and keepers on etcd.
func inFleet(ctx context.Context, out io.Writer, dir, bin string, kills, size int, idle time.Duration) error {
	witness := filepath.Join(dir, "witness")
	if err := build.Programs(ctx, dir, "", "witness"); err != nil {
		return err
	}
	small := filepath.Join(dir, "small")
	large := filepath.Join(dir, "large")
	for _, d := range []string{small, large} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	if err := restarts(ctx, out, fleet.Options{Dir: small, Bin: bin, Witness: witness, Controllers: 1, Machines: 1}, kills); err != nil {
		return err
	}
	return crowd(ctx, out, fleet.Options{Dir: large, Bin: bin, Witness: witness, Controllers: 1, Machines: 3}, size, idle)
}
