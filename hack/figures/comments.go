package main

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// comments counts the packages that introduce themselves and the exported identifiers that are explained: functions,
// methods of exported types, types, constants and variables of product packages, but not the fields of a struct. A
// comment above a group of constants or variables explains them all. Error, Unwrap and String need none.
func (t *tree) comments(c *column) {
	introduced := map[string]bool{}
	var exported, documented int
	for _, f := range t.Files {
		dir := path.Dir(f.Path)
		if strings.HasSuffix(f.Path, "_test.go") {
			continue
		}
		introduced[dir] = introduced[dir] || f.Syntax.Doc != nil
		if f.Test || f.Syntax.Name.Name == "main" {
			continue
		}
		for _, d := range f.Syntax.Decls {
			for _, e := range exports(d) {
				exported++
				if e.documented {
					documented++
				} else {
					t.offend("%s:%d: %s: exported without a comment", f.Path, t.Line(e.pos), e.name)
				}
			}
		}
	}
	with := 0
	for dir, yes := range introduced {
		if yes {
			with++
		} else {
			t.offend("%s: no package comment", dir)
		}
	}
	c.add("packages with a comment", "%d of %d", with, len(introduced))
	c.add("exported identifiers", "%d, %d%% documented (%d are not)", exported, 100*documented/max(exported, 1), exported-documented)
}

// known are methods that mean the same everywhere.
var known = []string{"Error", "Unwrap", "String"}

type export struct {
	name       string
	pos        token.Pos
	documented bool
}

func exports(d ast.Decl) (all []export) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && !(d.Recv != nil && slices.Contains(known, d.Name.Name)) && (d.Recv == nil || ast.IsExported(receiver(d))) {
			all = append(all, export{d.Name.Name, d.Pos(), d.Doc != nil})
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					all = append(all, export{s.Name.Name, s.Pos(), d.Doc != nil || s.Doc != nil || s.Comment != nil})
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() {
						all = append(all, export{n.Name, n.Pos(), d.Doc != nil || s.Doc != nil || s.Comment != nil})
					}
				}
			}
		}
	}
	return all
}

// receiver is the name of the type that a method belongs to.
func receiver(f *ast.FuncDecl) string {
	expr := f.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}
