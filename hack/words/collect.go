package main

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/distsuper/distsuper/test/source"
)

// A sentence is a text that people read, with the place where it is written.
type sentence struct {
	File string // relative to the module
	Line int
	Text string // a value that is put in reads as in the format, or as "…" where it is added
}

// twoWords is what a text has to have to be a sentence, and no key, path or name.
var twoWords = regexp.MustCompile(`\pL{2,}['’]?[ ,;:]+["'(]?(\pL|%)`)

// ofSource is the sentences in the string literals of a file. Literals that are added up are one.
func ofSource(m *source.Module, f *source.File) (all []sentence) {
	var visit func(ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field: // without its tag
			ast.Inspect(n.Type, visit)
			return false
		case *ast.BinaryExpr:
			text, ok := sum(n)
			if ok {
				all = add(all, m, f, n, text)
			}
			return !ok
		case *ast.BasicLit:
			text, _ := sum(n)
			all = add(all, m, f, n, text)
		}
		return true
	}
	ast.Inspect(f.Syntax, visit)
	return all
}

func add(all []sentence, m *source.Module, f *source.File, n ast.Node, text string) []sentence {
	if !twoWords.MatchString(text) {
		return all
	}
	return append(all, sentence{File: f.Path, Line: m.Line(n.Pos()), Text: text})
}

// sum is a literal's text, or that of a sum of which at least one part is a literal.
func sum(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, isLeft := sum(e.X)
		right, isRight := sum(e.Y)
		if !isLeft {
			left = "…"
		}
		if !isRight {
			right = "…"
		}
		return left + right, isLeft || isRight
	}
	return "", false
}

// ofPages is the lines of README and of the pages, without their code.
func ofPages(dir string) (all []sentence, err error) {
	pages, err := filepath.Glob(filepath.Join(dir, "hack/docs/*.md"))
	if err != nil {
		return nil, err
	}
	for _, path := range append([]string{filepath.Join(dir, "README.md")}, pages...) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		code := false
		for i, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			} else if !code && twoWords.MatchString(line) {
				all = append(all, sentence{File: name, Line: i + 1, Text: line})
			}
		}
	}
	return all, nil
}
