// Package build builds the programs that tests and measurements run.
package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/distsuper/distsuper/"

// Everything is what can be built: the three programs, and the witness.
var Everything = []string{"distsuperd", "distsuperagent", "distsuperctl", "witness"}

// Programs builds programs of Everything into dir.
func Programs(ctx context.Context, dir, tags string, names ...string) error {
	for _, name := range names {
		from := module + "cmd/" + name
		if name == "witness" {
			from = module + "test/witness/bin"
		}
		if err := look(ctx, tags, from); err != nil {
			return err
		}
		if _, err := goCommand(ctx, "build", "-trimpath", "-ldflags=-s -w", "-tags="+tags, "-o", filepath.Join(dir, name), from); err != nil {
			return err
		}
	}
	return nil
}

// Etcd builds the server of the etcd that distsuperd has inside into dir, and returns its path.
func Etcd(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "etcd")
	_, err := goCommand(ctx, "build", "-trimpath", "-ldflags=-s -w", "-o", path, "go.etcd.io/etcd/server/v3")
	return path, err
}

// look looks at every file of ours that is built. The go command takes the result of a test from its cache unless a file has
// changed that the test itself has looked at: of what a child such as the compiler read it knows nothing.
func look(ctx context.Context, tags, program string) error {
	const format = `{{if .Module}}{{if .Module.Main}}{{$dir := .Dir}}{{$dir}}
{{range .GoFiles}}{{$dir}}/{{.}}
{{end}}{{range .SFiles}}{{$dir}}/{{.}}
{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}
{{end}}{{.Module.GoMod}}
{{end}}{{end}}`
	files, err := goCommand(ctx, "list", "-deps", "-tags="+tags, "-f", format, program)
	if err != nil {
		return err
	}
	for file := range strings.Lines(files) {
		if file = strings.TrimSpace(file); file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	return nil
}

func goCommand(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, stderr.String())
	}
	return string(out), nil
}
