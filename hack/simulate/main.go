// Simulate plays seeds in the simulator of a built distsuperctl, and writes what was played into README and a page.
//
//	go run ./hack/simulate -bin bin -seeds 1000000 -page hack/docs/simulator.md
//
// It ends as distsuperctl verify does: with the story of a promise that was broken, if one was.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/hack/docs"
	"github.com/distsuper/distsuper/test/fleet"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the three binaries")
	seeds := flag.Int("seeds", 100000, "how many fleets are played")
	first := flag.Uint64("first", 1, "the first seed")
	page := flag.String("page", "", "page in which the figures are to stand, beside README; none: they are printed only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *bin, *first, *seeds, *page)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, first uint64, seeds int, page string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "distsuperctl"), "verify", "--json", "--seeds", fmt.Sprint(seeds), "--first", fmt.Sprint(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		fmt.Print(string(out)) // the story
		return err
	}
	text, err := figures(out, first)
	if err != nil {
		return err
	}
	fmt.Print(text)
	if page == "" {
		return nil
	}
	return errors.Join(docs.WriteFigures(page, "simulated", text), docs.WriteFigures("README.md", "simulated", text))
}

// played is what distsuperctl verify says when every promise was kept.
type played struct {
	Seeds  uint64
	Events int64
	// Seconds that passed in all the fleets.
	Seconds float64
	Copies  int
	Speed   float64 `json:"times_real_time"`
}

// figures is what was played, as a table.
func figures(out []byte, first uint64) (string, error) {
	var p played
	if err := json.Unmarshal(out, &p); err != nil {
		return "", fmt.Errorf("read what distsuperctl verify says: %w: %s", err, out)
	}
	version := fleet.Host()
	version = version[strings.LastIndex(version, " ")+1:]
	years := p.Seconds / (365.25 * 24 * time.Hour.Seconds())
	return fmt.Sprintf("| simulated | seeds | years | steps | copies started | times real time, on each core | promises broken |\n|---|---|---|---|---|---|---|\n"+
		"| %s, %s | %d to %d | %.3g | %d million | %d | %.0f | 0 |\n", time.Now().Format(time.DateOnly), version, first, first+p.Seeds-1, years, p.Events/1e6, p.Copies,
		p.Speed), nil
}
