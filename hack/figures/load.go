package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tree is one checkout: its files as text and syntax, and its packages as the go command sees them.
type tree struct {
	dir       string
	module    string
	fset      *token.FileSet
	files     []*file
	packages  []*pkg // ours and all that they need, dependencies first
	offenders []string
}

// file is one Go file that git tracks.
type file struct {
	path   string // relative to the tree
	lines  int
	syntax *ast.File
	test   bool // a test, or below test or hack
}

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath, Name, Dir, Export string
	GoFiles, Imports, Deps        []string
	Module                        *struct {
		Path string
		Main bool
	}
}

func (p *pkg) ours() bool { return p.Module != nil && p.Module.Main }

// product reports whether a package of ours ends up in one of the programs.
func (t *tree) product(p *pkg) bool { return p.ours() && !aside(t.short(p.ImportPath)+"/") }

// short is an import path without our module's name.
func (t *tree) short(path string) string { return strings.TrimPrefix(path, t.module+"/") }

func aside(path string) bool {
	return strings.HasPrefix(path, "test/") || strings.HasPrefix(path, "hack/")
}

func load(dir string) (*tree, error) {
	t := &tree{dir: dir, fset: token.NewFileSet()}
	module, err := command(dir, "go", "list", "-m")
	if err != nil {
		return nil, err
	}
	t.module = strings.TrimSpace(string(module))
	if err := t.loadFiles(); err != nil {
		return nil, err
	}
	return t, t.loadPackages()
}

func (t *tree) loadFiles() error {
	out, err := command(t.dir, "git", "ls-files", "-z", "*.go")
	if err != nil {
		return err
	}
	for _, path := range strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }) {
		if strings.Contains(path, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(t.dir, path))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and not yet committed
		}
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(t.fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		t.files = append(t.files, &file{path: path, lines: bytes.Count(text, []byte("\n")), syntax: syntax,
			test: strings.HasSuffix(path, "_test.go") || aside(path)})
	}
	return nil
}

func (t *tree) loadPackages() error {
	out, err := command(t.dir, "go", "list", "-export", "-deps",
		"-json=ImportPath,Name,Dir,Export,GoFiles,Imports,Deps,Module", "./...")
	if err != nil {
		return err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		t.packages = append(t.packages, p)
	}
}

func command(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the programs are built
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
