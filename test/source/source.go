// Package source reads the source of a Go module for tools that judge how it is built: its files as syntax, its packages
// and what they import, and which function mentions which.
package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Module is one checkout.
type Module struct {
	Path     string // of the module
	Files    []*File
	Packages []*Package // the module's and all that they need, dependencies first
	Fset     *token.FileSet

	dir string
}

// File is one Go file of the module.
type File struct {
	Path   string // relative to the module
	Lines  int
	Syntax *ast.File
	Test   bool // a test, or below test or hack
}

// Package is what `go list` says of a package.
type Package struct {
	ImportPath, Name, Dir, Export string
	GoFiles, Imports, Deps        []string
	Module                        *struct {
		Path string
		Main bool
	}
}

// Ours reports whether a package belongs to the module.
func (p *Package) Ours() bool { return p.Module != nil && p.Module.Main }

// Product reports whether a package is built into a program or imported by users.
func (m *Module) Product(p *Package) bool { return p.Ours() && !aside(m.Short(p.ImportPath)+"/") }

// Short is an import path without the module's.
func (m *Module) Short(path string) string { return strings.TrimPrefix(path, m.Path+"/") }

// Line is the line of a position.
func (m *Module) Line(p token.Pos) int { return m.Fset.Position(p).Line }

func aside(path string) bool {
	return strings.HasPrefix(path, "test/") || strings.HasPrefix(path, "hack/")
}

// Load reads the module in dir. A test that calls it is run again when a file of the module has changed.
func Load(dir string) (*Module, error) {
	m := &Module{dir: dir, Fset: token.NewFileSet()}
	module, err := m.list("-m")
	if err != nil {
		return nil, err
	}
	m.Path = strings.TrimSpace(string(module))
	if err := m.loadFiles(); err != nil {
		return nil, err
	}
	return m, m.loadPackages()
}

// loadFiles reads every file that the go command would. It walks the folders itself: the go command takes a test's result
// from its cache unless a file or folder has changed that the test, and not a child of it, has opened.
func (m *Module) loadFiles() error {
	return filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != m.dir && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || hasFile(path, "go.mod")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if path, err = filepath.Rel(m.dir, path); err != nil {
			return err
		}
		syntax, err := parser.ParseFile(m.Fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, &File{Path: path, Lines: bytes.Count(text, []byte("\n")), Syntax: syntax,
			Test: strings.HasSuffix(path, "_test.go") || aside(path)})
		return nil
	})
}

func hasFile(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func (m *Module) loadPackages() error {
	out, err := m.list("-export", "-deps", "-json=ImportPath,Name,Dir,Export,GoFiles,Imports,Deps,Module", "./...")
	if err != nil {
		return err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(Package)
		if err := dec.Decode(p); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		m.Packages = append(m.Packages, p)
	}
}

// list runs go list as the programs are built.
func (m *Module) list(args ...string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
