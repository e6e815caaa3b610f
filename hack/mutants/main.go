// Command mutants shows that the simulator notices when a guard is missing. Each patch of test/sim/mutants takes one compare or one
// wait away by which there is never a second copy of a process, or by which none is forgotten. The command puts them into a copy of the
// source, one after the other, and plays the written stories, the kept ones and then seeds until a promise is broken which the source
// keeps without the patch. What plays may take so much memory and no more, and no story may last for ever: neither is in the power of a
// mutant.
//
//	go run ./hack/mutants              all of them, as a table
//	go run ./hack/mutants -only move   those with "move" in their names (or any other regular expression)
//
// It ends with an error when one is not found: then the simulator is too kind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/hack/docs"
	"github.com/distsuper/distsuper/test/sim/mutants"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "only those whose names match this regular expression")
	seeds := flag.Int("seeds", 10000, "how many seeds are played at most")
	most := flag.Duration("most", 15*time.Minute, "how long one mutant is looked for at most")
	page := flag.String("page", "", "write the table into this page, and how many were found into README, too")
	play := flag.Bool("play", false, "play stories and seeds of this build until a promise is broken, and print what was found (what the copies are built for)")
	one := flag.String("story", "", "with -play: only this one, such as \"seed 7\"")
	flag.Parse()
	if *play {
		return playThis(*one, *seeds)
	}
	names, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	c, err := newCopy(ctx)
	defer c.remove()
	if err != nil {
		return err
	}
	all, err := mutants.List(c.dir)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m mutants.Mutant) bool { return !names.MatchString(m.Name) })
	if len(all) == 0 {
		return fmt.Errorf("no mutant is named like %q; they are in test/sim/mutants", *only)
	}
	var t table
	for i, m := range all {
		fmt.Fprintf(os.Stderr, "%d of %d: %s ... ", i+1, len(all), m.Name)
		f, err := c.try(ctx, m, *seeds, *most)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		fmt.Fprintf(os.Stderr, "%s (%s)\n", f.by(), f.Promise)
		t.add(m, f)
	}
	fmt.Print(t.String())
	if *page != "" {
		if err := errors.Join(docs.WriteFigures(*page, "mutants", t.String()), docs.WriteFigures("README.md", "mutants", t.summary())); err != nil {
			return err
		}
	}
	if len(t.missed) > 0 {
		return fmt.Errorf("not found: %s", strings.Join(t.missed, ", "))
	}
	return nil
}

// playThis is what a copy is built for.
func playThis(one string, seeds int) error {
	if err := limitMemory(); err != nil {
		return err
	}
	all := stories(seeds)
	if one != "" {
		all = []story{story(one)}
	}
	playAll(all, os.Stdout)
	return nil
}

// table is what became of each mutant.
type table struct {
	rows   strings.Builder
	found  int
	missed []string
}

func (t *table) add(m mutants.Mutant, f Found) {
	if f.Promise == "" {
		t.missed = append(t.missed, m.Name)
	} else {
		t.found++
	}
	fmt.Fprintf(&t.rows, "| %s | %s | %s | %s | %s | %d | %.1f |\n", m.Name, m.Rule, m.What, f.by(), f.Promise, f.Stories, f.Time.Seconds())
}

// summary is a line that says how many were found.
func (t *table) summary() string {
	return fmt.Sprintf("%d of %d mutants found; %s, %d cores.", t.found, t.found+len(t.missed), time.Now().Format(time.DateOnly), runtime.NumCPU())
}

// String is the table, below a line that says how many were found.
func (t *table) String() string {
	return t.summary() + "\n\n" +
		"| mutant | rule | what is missing | found by | promise broken | stories | seconds |\n|---|---|---|---|---|---|---|\n" + t.rows.String()
}
