package source

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

// Graph says which function of the product mentions which: a call, a method taken as a value and a function handed on
// count alike. It knows nothing of what is reached by reflection.
type Graph struct {
	// Nodes are the functions, the module's in the order of its packages and files.
	Nodes []*Node

	module *Module
	nodes  map[types.Object]*Node
}

// Node is a function, or a variable or field of the module that may hold one.
type Node struct {
	Name    string // package.Function or package.Type.Method; the module's packages in short
	Package string // its import path; "" for a method of the language's own error
	File    string // relative to the module; "" for what is not the module's
	// Calls is what it mentions by name.
	Calls []*Node
	// Dynamic is what it may reach besides: behind the method of an interface that of every type of the module that
	// fits, and behind a field what is put into that field anywhere.
	Dynamic []*Node
}

// checked is a package of the module with its types.
type checked struct {
	files []*ast.File
	types *types.Package
	info  *types.Info
}

// Graph type-checks the product from its source, and takes what it imports from the compiler's export data.
func (m *Module) Graph() (*Graph, error) {
	all, err := m.check()
	if err != nil {
		return nil, err
	}
	g := &Graph{module: m, nodes: map[types.Object]*Node{}}
	concrete := concreteTypes(all)
	for _, c := range all {
		for _, f := range c.files {
			for _, d := range f.Decls {
				g.declare(c.info, d, concrete)
			}
		}
	}
	return g, nil
}

func (m *Module) check() (all []checked, err error) {
	ours, exports := map[string]*types.Package{}, map[string]string{}
	foreign := importer.ForCompiler(m.Fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	imports := importFunc(func(path string) (*types.Package, error) {
		if p := ours[path]; p != nil {
			return p, nil
		}
		return foreign.Import(path)
	})
	parsed := map[string]*ast.File{}
	for _, f := range m.Files {
		parsed[f.Path] = f.Syntax
	}
	root, err := filepath.Abs(m.dir)
	if err != nil {
		return nil, err
	}
	for _, p := range m.Packages {
		if !m.Product(p) {
			exports[p.ImportPath] = p.Export
			continue
		}
		c := checked{info: &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}}
		for _, name := range p.GoFiles {
			path, err := filepath.Rel(root, filepath.Join(p.Dir, name))
			if err != nil || parsed[path] == nil {
				return nil, fmt.Errorf("%s is not one of the module's files", filepath.Join(p.Dir, name))
			}
			c.files = append(c.files, parsed[path])
		}
		c.types, err = (&types.Config{Importer: imports}).Check(p.ImportPath, m.Fset, c.files, c.info)
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

// concreteTypes lists the types that methods of an interface may belong to.
func concreteTypes(all []checked) (found []*types.Named) {
	for _, c := range all {
		for _, name := range c.types.Scope().Names() { // sorted
			if n, ok := c.types.Scope().Lookup(name).Type().(*types.Named); ok && !types.IsInterface(n) && n.TypeParams().Len() == 0 {
				found = append(found, n)
			}
		}
	}
	return found
}

func (g *Graph) declare(info *types.Info, d ast.Decl, concrete []*types.Named) {
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
func (g *Graph) mentions(from *Node, info *types.Info, d ast.Node, concrete []*types.Named) {
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

func (g *Graph) mention(from *Node, o types.Object, concrete []*types.Named) {
	switch o := o.(type) {
	case *types.Func:
		add(&from.Calls, g.node(o.Origin()))
		for _, m := range implementations(o, concrete) {
			add(&from.Dynamic, g.node(m))
		}
	case *types.Var:
		switch {
		case g.holdsFunction(o):
			add(&from.Dynamic, g.node(o))
		case o.Pkg() != nil && o.Parent() == o.Pkg().Scope():
			add(&from.Calls, g.node(o))
		}
	}
}

// filled notes what is put into a field that holds a function.
func (g *Graph) filled(o types.Object, info *types.Info, value ast.Expr, concrete []*types.Named) {
	if field, ok := o.(*types.Var); ok && g.holdsFunction(field) {
		g.mentions(g.node(field), info, value, concrete)
	}
}

// holdsFunction is about the fields of the module's types: all commands meet in one field of cobra's.
func (g *Graph) holdsFunction(v *types.Var) bool {
	_, ok := v.Type().Underlying().(*types.Signature)
	return ok && v.IsField() && g.ours(v)
}

func (g *Graph) ours(o types.Object) bool {
	return o.Pkg() != nil && strings.HasPrefix(o.Pkg().Path(), g.module.Path+"/")
}

// implementations lists what a call of an interface's method may reach in the module.
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

func add(list *[]*Node, n *Node) {
	if !slices.Contains(*list, n) {
		*list = append(*list, n)
	}
}

func (g *Graph) node(o types.Object) *Node {
	n := g.nodes[o]
	if n == nil {
		n = &Node{Name: o.Name()}
		if o.Pkg() != nil {
			n.Package = o.Pkg().Path()
			n.Name = g.module.Short(n.Package) + "." + withReceiver(o)
		}
		if g.ours(o) {
			n.File = g.module.Fset.Position(o.Pos()).Filename
		}
		g.nodes[o] = n
		g.Nodes = append(g.Nodes, n)
	}
	return n
}

// withReceiver is Type.Method for a method.
func withReceiver(o types.Object) string {
	f, ok := o.(*types.Func)
	if !ok || f.Signature().Recv() == nil {
		return o.Name()
	}
	t := f.Signature().Recv().Type()
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := t.(*types.Named); ok {
		return n.Obj().Name() + "." + o.Name()
	}
	return o.Name()
}
