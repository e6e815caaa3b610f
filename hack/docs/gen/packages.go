package main

import (
	"encoding/json"
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const module = "github.com/distsuper/distsuper/"

// packages lists the packages below some folders, each with the first sentence of its comment.
func (p *printer) packages(folders ...string) func() (string, error) {
	return func() (string, error) {
		list := exec.CommandContext(p.ctx, "go", "list", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles", module+"...")
		out, err := list.Output()
		if err != nil {
			return "", fmt.Errorf("go list: %w", err)
		}
		var rows [][]string
		for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
			var l struct {
				ImportPath, Dir                    string
				GoFiles, TestGoFiles, XTestGoFiles []string
			}
			if err := dec.Decode(&l); err != nil {
				return "", err
			}
			name := strings.TrimPrefix(l.ImportPath, module)
			top, _, _ := strings.Cut(name, "/")
			if !slices.Contains(folders, top) {
				continue
			}
			sentence, err := introduction(l.Dir, slices.Concat(l.GoFiles, l.TestGoFiles, l.XTestGoFiles))
			if err != nil {
				return "", err
			}
			if sentence == "" {
				return "", fmt.Errorf("package %s does not introduce itself", name)
			}
			rows = append(rows, []string{code(name), sentence})
		}
		return table([]string{"package", "what it is"}, rows), nil
	}
}

// introduction is the first sentence of a package's comment, without the words that name the package.
func introduction(dir string, files []string) (string, error) {
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return "", err
		}
		if f.Doc == nil {
			continue
		}
		sentence := new(doc.Package).Synopsis(f.Doc.Text())
		base := path.Base(filepath.ToSlash(dir))
		for _, lead := range []string{"Package " + f.Name.Name, "Command " + base, strings.ToUpper(base[:1]) + base[1:]} {
			if rest, found := strings.CutPrefix(sentence, lead+" "); found {
				sentence = strings.TrimPrefix(rest, "is ")
				break
			}
		}
		for _, program := range []string{"etcd", "supervisord", "distsuper"} { // are never capitalised
			if strings.HasPrefix(sentence, program) {
				return sentence, nil
			}
		}
		return strings.ToUpper(sentence[:1]) + sentence[1:], nil
	}
	return "", nil
}
