// Figures measures how the source of distsuper is built: how long its files and functions are, how much of it is
// documented, who imports whom, and through how many files one follows a start. With several trees it prints
// them side by side, so that a change of structure shows its figures before and after.
//
//	go run ./hack/figures
//	go run ./hack/figures -C ../before -C . -json
//
// "Product" is what is built into the three programs or imported by users: everything
// but tests, test and hack.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/distsuper/distsuper/test/source"
)

// tree is a module with the places that its figures count.
type tree struct {
	*source.Module
	offenders []string
}

// figure is one row of the table: what was counted, and what came out, in words.
type figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// column is what one tree looks like.
type column struct {
	Tree    string   `json:"tree"`
	Figures []figure `json:"figures"`
}

func (c *column) add(name, format string, args ...any) {
	c.Figures = append(c.Figures, figure{name, fmt.Sprintf(format, args...)})
}

func main() {
	var trees []string
	flag.Func("C", "folder of a tree to measure; may be given more than once (default: the current folder)",
		func(dir string) error { trees = append(trees, dir); return nil })
	asJSON := flag.Bool("json", false, "print JSON")
	offenders := flag.Bool("offenders", false, "list what the figures count: long files and functions, exports without a comment, the walk's files")
	flag.Parse()
	if len(trees) == 0 {
		trees = []string{"."}
	}
	if err := run(os.Stdout, trees, *asJSON, *offenders); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, dirs []string, asJSON, offenders bool) error {
	var columns []column
	for _, dir := range dirs {
		module, err := source.Load(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		t := &tree{Module: module}
		c := column{Tree: dir}
		t.texts(&c)
		t.comments(&c)
		t.imports(&c)
		if err := t.walks(&c); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		t.costs(&c)
		columns = append(columns, c)
		if offenders {
			for _, line := range t.offenders {
				fmt.Fprintln(w, line)
			}
		}
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(columns)
	}
	return print(w, columns)
}

// print writes a row for each figure that any tree has, in the order in which they first appear.
func print(w io.Writer, columns []column) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tab, "figure")
	for _, c := range columns {
		fmt.Fprint(tab, "\t", c.Tree)
	}
	fmt.Fprintln(tab)
	seen := map[string]bool{}
	for _, c := range columns {
		for _, f := range c.Figures {
			if seen[f.Name] {
				continue
			}
			seen[f.Name] = true
			fmt.Fprint(tab, f.Name)
			for _, other := range columns {
				fmt.Fprint(tab, "\t", other.value(f.Name))
			}
			fmt.Fprintln(tab)
		}
	}
	return tab.Flush()
}

func (c column) value(name string) string {
	for _, f := range c.Figures {
		if f.Name == name {
			return f.Value
		}
	}
	return "-"
}
