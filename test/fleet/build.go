package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/distsuper/distsuper/"

// Build builds the three binaries and the witness into dir.
func Build(ctx context.Context, dir string) error {
	if err := BuildPrograms(ctx, dir, "distsuperd", "distsuperagent", "distsuperctl"); err != nil {
		return err
	}
	return BuildWitness(ctx, filepath.Join(dir, "witness"))
}

// BuildPrograms builds some of the three into dir.
func BuildPrograms(ctx context.Context, dir string, names ...string) error {
	var packages []string
	for _, name := range names {
		packages = append(packages, "cmd/"+name)
	}
	return build(ctx, dir+"/", packages...)
}

// BuildWitness builds the witness alone.
func BuildWitness(ctx context.Context, file string) error {
	return build(ctx, file, "test/witness/bin")
}

func build(ctx context.Context, out string, packages ...string) error {
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", out}
	for _, p := range packages {
		args = append(args, module+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
