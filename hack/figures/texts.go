package main

import (
	"fmt"
	"go/ast"
	"slices"
)

// What counts as long.
const (
	longFile     = 350
	veryLongFile = 500
	longFunction = 60
)

// texts counts files and functions and measures how long they are.
func (t *tree) texts(c *column) {
	for _, part := range []struct {
		name string
		test bool
	}{{"product", false}, {"tests, test, hack", true}} {
		var files, functions []int
		for _, f := range t.Files {
			if f.Test != part.test {
				continue
			}
			files = append(files, f.Lines)
			if f.Lines > longFile {
				t.offend("%s: %d lines", f.Path, f.Lines)
			}
			for _, d := range f.Syntax.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				n := t.Line(fn.End()) - t.Line(fn.Pos()) + 1
				functions = append(functions, n)
				if n > longFunction {
					t.offend("%s:%d: %s: %d lines", f.Path, t.Line(fn.Pos()), fn.Name.Name, n)
				}
			}
		}
		slices.Sort(files)
		slices.Sort(functions)
		c.add("lines, "+part.name, "%d in %d files, %d functions", sum(files), len(files), len(functions))
		c.add("lines a file, "+part.name, "median %d, max %d; %d over %d, %d over %d", at(files, 50), at(files, 100),
			over(files, longFile), longFile, over(files, veryLongFile), veryLongFile)
		c.add("lines a function, "+part.name, "median %d, p95 %d, max %d; %d over %d", at(functions, 50), at(functions, 95), at(functions, 100),
			over(functions, longFunction), longFunction)
	}
}

func (t *tree) offend(format string, args ...any) {
	t.offenders = append(t.offenders, fmt.Sprintf(format, args...))
}

// at is the value that percent of the sorted numbers do not exceed.
func at(sorted []int, percent int) int {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}

func over(numbers []int, limit int) (n int) {
	for _, v := range numbers {
		if v > limit {
			n++
		}
	}
	return n
}

func sum(numbers []int) (n int) {
	for _, v := range numbers {
		n += v
	}
	return n
}
