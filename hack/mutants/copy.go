package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// copied is a copy of the source in which mutants are made, and what was built of it without any.
type copied struct {
	dir   string
	whole string // the binary of the product as it is
}

// newCopy copies what git knows of this source, as it is now.
func newCopy(ctx context.Context) (c copied, err error) {
	if c.dir, err = os.MkdirTemp("", "distsuper-mutants-"); err != nil {
		return c, err
	}
	out, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return c, fmt.Errorf("list the source: %w", err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and not committed yet
		}
		to := filepath.Join(c.dir, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o644)
		}
		if err != nil {
			return c, err
		}
	}
	c.whole, err = c.build(ctx, "whole")
	return c, err
}

func (c copied) remove() { _ = os.RemoveAll(c.dir) }

// build builds this command of the copy as it is now. Packages that did not change come from the build cache.
func (c copied) build(ctx context.Context, name string) (binary string, err error) {
	binary = filepath.Join(c.dir, name)
	return binary, c.command(ctx, "go", "build", "-trimpath", "-o", binary, "./hack/mutants")
}

// mutate makes a mutant, builds it, and unmakes it.
func (c copied) mutate(ctx context.Context, patch string) (binary string, err error) {
	if err := c.command(ctx, "git", "apply", "-C1", patch); err != nil {
		return "", err
	}
	binary, err = c.build(ctx, "mutant")
	return binary, errors.Join(err, c.command(context.WithoutCancel(ctx), "git", "apply", "-C1", "-R", patch))
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
