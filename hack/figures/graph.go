package main

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// graph says which function mentions which: a call, a method taken as a value and a function handed on count alike.
// A call through an interface leads to the method of every type of ours that fits, and one through a field to what
// is put into that field anywhere.
type graph struct {
	tree  *tree
	nodes map[types.Object]*node
	order []*node
}

// node is a function, ours or another's (which has no file), or a variable or field that may hold functions.
type node struct {
	name, file string
	calls      []*node
}

// checked is a package of ours with its types.
type checked struct {
	files []*ast.File
	types *types.Package
	info  *types.Info
}

// graph type-checks the product from its source, and takes what it imports from the compiler's export data.
func (t *tree) graph() (*graph, error) {
	all, err := t.check()
	if err != nil {
		return nil, err
	}
	g := &graph{tree: t, nodes: map[types.Object]*node{}}
	implementations := concrete(all)
	for _, c := range all {
		for _, f := range c.files {
			for _, d := range f.Decls {
				g.declare(c.info, d, implementations)
			}
		}
	}
	return g, nil
}

func (t *tree) check() (all []checked, err error) {
	ours, exports := map[string]*types.Package{}, map[string]string{}
	foreign := importer.ForCompiler(t.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	imports := importFunc(func(path string) (*types.Package, error) {
		if p := ours[path]; p != nil {
			return p, nil
		}
		return foreign.Import(path)
	})
	parsed := map[string]*ast.File{}
	for _, f := range t.files {
		parsed[f.path] = f.syntax
	}
	root, err := filepath.Abs(t.dir)
	if err != nil {
		return nil, err
	}
	for _, p := range t.packages {
		if !t.product(p) {
			exports[p.ImportPath] = p.Export
			continue
		}
		c := checked{info: &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}}
		for _, name := range p.GoFiles {
			path, err := filepath.Rel(root, filepath.Join(p.Dir, name))
			if err != nil || parsed[path] == nil {
				return nil, fmt.Errorf("%s: not tracked by git", filepath.Join(p.Dir, name))
			}
			c.files = append(c.files, parsed[path])
		}
		c.types, err = (&types.Config{Importer: imports}).Check(p.ImportPath, t.fset, c.files, c.info)
		if err != nil {
			return nil, err
		}
		ours[p.ImportPath] = c.types
		all = append(all, c)
	}
	return all, nil
}

type importFunc func(string) (*types.Package, error)

func (f importFunc) Import(path string) (*types.Package, error) { return f(path) }

// concrete lists the types that methods of an interface may belong to.
func concrete(all []checked) (found []*types.Named) {
	for _, c := range all {
		for _, name := range c.types.Scope().Names() { // sorted
			if n, ok := c.types.Scope().Lookup(name).Type().(*types.Named); ok && !types.IsInterface(n) && n.TypeParams().Len() == 0 {
				found = append(found, n)
			}
		}
	}
	return found
}

func (g *graph) declare(info *types.Info, d ast.Decl, concrete []*types.Named) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		g.mentions(g.node(info.Defs[d.Name]), info, d, concrete)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			if v, ok := s.(*ast.ValueSpec); ok {
				for _, name := range v.Names {
					if info.Defs[name] != nil {
						g.mentions(g.node(info.Defs[name]), info, v, concrete)
					}
				}
			}
		}
	}
}

// mentions notes every function that a declaration names, and every variable and field that may hold some.
func (g *graph) mentions(from *node, info *types.Info, d ast.Node, concrete []*types.Named) {
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			g.mention(from, info.Uses[n], concrete)
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				g.filled(info.Uses[key], info, n.Value, concrete)
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if field, ok := left.(*ast.SelectorExpr); ok && len(n.Lhs) == len(n.Rhs) {
					g.filled(info.Uses[field.Sel], info, n.Rhs[i], concrete)
				}
			}
		}
		return true
	})
}

func (g *graph) mention(from *node, o types.Object, concrete []*types.Named) {
	switch o := o.(type) {
	case *types.Func:
		from.add(g.node(o.Origin()))
		for _, m := range implementations(o, concrete) {
			from.add(g.node(m))
		}
	case *types.Var:
		if g.holdsFunction(o) || o.Pkg() != nil && o.Parent() == o.Pkg().Scope() {
			from.add(g.node(o))
		}
	}
}

// filled notes what is put into a field that holds a function.
func (g *graph) filled(o types.Object, info *types.Info, value ast.Expr, concrete []*types.Named) {
	if field, ok := o.(*types.Var); ok && g.holdsFunction(field) {
		g.mentions(g.node(field), info, value, concrete)
	}
}

// holdsFunction is about the fields of our types: all commands meet in one field of cobra's.
func (g *graph) holdsFunction(v *types.Var) bool {
	_, ok := v.Type().Underlying().(*types.Signature)
	return ok && v.IsField() && g.ours(v)
}

func (g *graph) ours(o types.Object) bool {
	return o.Pkg() != nil && strings.HasPrefix(o.Pkg().Path(), g.tree.module+"/")
}

func (n *node) add(to *node) {
	if !slices.Contains(n.calls, to) {
		n.calls = append(n.calls, to)
	}
}

// implementations lists what a call of an interface's method may reach in our code.
func implementations(f *types.Func, concrete []*types.Named) (all []types.Object) {
	recv := f.Signature().Recv()
	if recv == nil {
		return nil
	}
	iface, ok := recv.Type().Underlying().(*types.Interface)
	if !ok {
		return nil
	}
	for _, n := range concrete {
		p := types.NewPointer(n)
		if types.Implements(p, iface) {
			if m, _, _ := types.LookupFieldOrMethod(p, true, f.Pkg(), f.Name()); m != nil {
				all = append(all, m)
			}
		}
	}
	return all
}

func (g *graph) node(o types.Object) *node {
	n := g.nodes[o]
	if n == nil {
		n = &node{name: g.name(o)}
		if g.ours(o) {
			n.file = g.tree.fset.Position(o.Pos()).Filename
		}
		g.nodes[o] = n
		g.order = append(g.order, n)
	}
	return n
}

// name is package.Type.Method or package.Function.
func (g *graph) name(o types.Object) string {
	if o.Pkg() == nil {
		return o.Name() // of the language: error's method
	}
	name := g.tree.short(o.Pkg().Path()) + "."
	if f, ok := o.(*types.Func); ok && f.Signature().Recv() != nil {
		t := f.Signature().Recv().Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if n, ok := t.(*types.Named); ok {
			name += n.Obj().Name() + "."
		}
	}
	return name + o.Name()
}
