// Command mutants shows that the simulator notices when a guard is missing. Each patch of test/sim/mutants takes one compare or one
// wait away by which there is never a second copy of a process, or by which none is forgotten. The command puts them into a copy of the
// source, one after the other, and plays the written stories and then seeds until a promise is broken.
//
//	go run ./hack/mutants              all of them, as a table
//	go run ./hack/mutants -only move   those with "move" in their names
//
// It ends with an error when one is not found: then the simulator is too kind.
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
	only := flag.String("only", "", "only those with this in their names")
	seeds := flag.Int("seeds", 10000, "how many seeds are played at most")
	most := flag.Duration("most", 15*time.Minute, "how long one mutant is looked for at most")
	page := flag.String("page", "", "write the table into this page, too")
	play := flag.Bool("play", false, "play stories and seeds of this build until a promise is broken, and print what was found (what the copies are built for)")
	flag.Parse()
	if *play {
		return json.NewEncoder(os.Stdout).Encode(find(*seeds))
	}
	all, err := mutants.List(".")
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m mutants.Mutant) bool { return !strings.Contains(m.Name, *only) })
	if len(all) == 0 {
		return fmt.Errorf("no mutant has %q in its name; they are in test/sim/mutants", *only)
	}
	c, err := newCopy(ctx)
	if err != nil {
		return err
	}
	defer c.remove()
	var table strings.Builder
	table.WriteString("| mutant | rule | what is missing | found by | promise broken | seeds | seconds |\n|---|---|---|---|---|---|---|\n")
	var missed []string
	for i, m := range all {
		fmt.Fprintf(os.Stderr, "%d of %d: %s ... ", i+1, len(all), m.Name)
		r, err := c.try(ctx, m, *seeds, *most)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		fmt.Fprintln(os.Stderr, r.by())
		if r.Promise == "" {
			missed = append(missed, m.Name)
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %d | %.1f |\n", m.Name, m.Rule, m.What, r.by(), r.Promise, r.Seeds, r.Seconds)
	}
	figures := fmt.Sprintf("%d of %d found; %s, %d cores.\n\n%s", len(all)-len(missed), len(all), time.Now().Format(time.DateOnly), runtime.NumCPU(), &table)
	fmt.Print(figures)
	if *page != "" {
		if err := docs.WriteFigures(*page, "mutants", figures); err != nil {
			return err
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("not found: %s", strings.Join(missed, ", "))
	}
	return nil
}

// copied is a copy of the source in which mutants are made.
type copied struct{ dir string }

// newCopy copies what git knows of this source, as it is now.
func newCopy(ctx context.Context) (copied, error) {
	dir, err := os.MkdirTemp("", "distsuper-mutants-")
	if err != nil {
		return copied{}, err
	}
	out, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return copied{}, fmt.Errorf("list the source: %w", err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and not committed yet
		}
		to := filepath.Join(dir, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o644)
		}
		if err != nil {
			return copied{}, err
		}
	}
	return copied{dir}, nil
}

func (c copied) remove() { _ = os.RemoveAll(c.dir) }

// try makes a mutant, plays, and unmakes it.
func (c copied) try(ctx context.Context, m mutants.Mutant, seeds int, most time.Duration) (Found, error) {
	if err := c.command(ctx, "git", "apply", "-C1", m.Path); err != nil {
		return Found{}, err
	}
	defer func() { _ = c.command(context.WithoutCancel(ctx), "git", "apply", "-C1", "-R", m.Path) }()
	binary := filepath.Join(c.dir, "mutant")
	if err := c.command(ctx, "go", "build", "-trimpath", "-o", binary, "./hack/mutants"); err != nil {
		return Found{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, binary, "-play", "-seeds", fmt.Sprint(seeds))
	cmd.Dir = c.dir
	out, err := cmd.Output()
	f := Found{Seconds: time.Since(began).Seconds()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return f, nil
	case errors.As(err, &exit) && strings.Contains(string(exit.Stderr), "panic:"):
		f.Promise = "no Step panics"
		return f, nil
	case err != nil:
		return f, err
	}
	return f, json.Unmarshal(out, &f)
}

// command runs one in the copy, which is no repository of its own.
func (c copied) command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(c.dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
