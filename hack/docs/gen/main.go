// Gen writes into the pages of hack/docs what code can say of itself: the keys of [program:x], settings, commands and
// exit codes, the keys in etcd, the differences from supervisor.
//
//	go run ./hack/docs/gen
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/distsuper/distsuper/hack/docs"
	"github.com/distsuper/distsuper/test/build"
)

func main() {
	dir := flag.String("docs", "hack/docs", "folder of the pages")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *dir)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes every page that is not as the code prints it.
func run(ctx context.Context, dir string) error {
	bin, err := os.MkdirTemp("", "docs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	if err := build.Programs(ctx, bin, "", programs...); err != nil {
		return err
	}
	filled, err := pages(ctx, bin, dir)
	if err != nil {
		return err
	}
	for _, p := range filled {
		if p.after == p.before {
			continue
		}
		fmt.Println("wrote", p.name)
		if err := os.WriteFile(p.name, []byte(p.after), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// page is one file as it is, and as the code prints it.
type page struct{ name, before, after string }

// pages fills every page of a folder; bin is the folder of the binaries. A part that stands on no page is an error.
func pages(ctx context.Context, bin, dir string) ([]page, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return nil, err
	}
	p := &printer{ctx: ctx, bin: bin}
	parts, used := p.parts(), map[string]bool{}
	var out []page
	for _, name := range names {
		before, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		after, err := docs.Fill(string(before), docs.Generated, func(part, _ string) (string, error) {
			used[part] = true
			if parts[part] == nil {
				return "", fmt.Errorf("there is no part %q", part)
			}
			return parts[part]()
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, page{name: name, before: string(before), after: after})
	}
	for part := range parts {
		if !used[part] {
			return nil, fmt.Errorf("no page shows the part %q", part)
		}
	}
	return out, nil
}
