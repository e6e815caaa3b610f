package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the folder of the README.
const root = "../.."

// forDevelopers are the pages that are no topics.
var forDevelopers = []string{"architecture", "chaos", "contributing", "simulator"}

func TestEveryPageIsATopicOrForDevelopers(t *testing.T) {
	files, err := fs.Glob(pages, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Clone(forDevelopers)
	for _, topic := range Topics {
		names = append(names, topic.Name)
		page, found := Page(topic.Name)
		if !found || !strings.HasPrefix(page, "# ") || topic.About == "" {
			t.Errorf("topic %s: page found: %v, %q; it is about %q", topic.Name, found, firstLine(page), topic.About)
		}
	}
	for i := range files {
		files[i] = strings.TrimSuffix(files[i], ".md")
	}
	slices.Sort(names)
	if !slices.Equal(files, names) {
		t.Errorf("there are the pages\n%v\nand the topics\n%v", files, names)
	}
	if _, found := Page("nosuch"); found {
		t.Error("a page that is not there is found")
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func TestTheREADMEIsReadInFiveMinutes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	const most = 1200
	words := regexp.MustCompile(`<!--.*?-->`).ReplaceAllString(string(text), "") // the lines of a table, and what nobody sees, are no words
	if n := len(regexp.MustCompile(`\S*\w\S*`).FindAllString(words, -1)); n > most {
		t.Errorf("README.md has %d words, at most %d are allowed: move the rest to a page", n, most)
	}
}

// documents are all Markdown files that people read, relative to root.
func documents(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "hack/systemd/README.md"}
	own, err := filepath.Glob("*.md")
	if err != nil || len(own) == 0 {
		t.Fatalf("pages %v, %v", own, err)
	}
	for _, name := range own {
		found = append(found, "hack/docs/"+name)
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, document := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, anchor, _ := strings.Cut(m[2], "#")
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(document), target)); err != nil {
				t.Errorf("%s: %s: %v", document, m[0], err)
			}
			if anchor != "" {
				t.Errorf("%s: %s: link to the page; nothing checks that a heading exists", document, m[0])
			}
		}
	}
}

// quoted are the files, packages and functions in backquotes: `pkg/fsm`, `store/keys.go`, `store/keys.go:Keys.Parse`.
var quoted = regexp.MustCompile("`((?:hack|cmd|pkg|store|controller|agentd|test)/[a-zA-Z0-9_./-]+)(?::([A-Za-z.]+))?`")

func TestWhatPagesNameExists(t *testing.T) {
	functions := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			file := filepath.Join(root, m[1])
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", document, err)
				continue
			}
			if m[2] == "" {
				continue
			}
			functions++
			if declared := declarations(t, file); !slices.Contains(declared, m[2]) {
				t.Errorf("%s: %s declares no %s, only %s", document, m[1], m[2], strings.Join(declared, ", "))
			}
		}
	}
	if functions < 40 {
		t.Errorf("found only %d functions on the pages", functions)
	}
}

// declarations are the names at the top level of a Go file: functions, methods as Type.Method, types and variables.
func declarations(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, receiver(d)+d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					names = append(names, s.Names[0].Name)
				}
			}
		}
	}
	return names
}

// receiver is the type of a method with a dot behind, and empty for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	name, ok := of.(*ast.Ident)
	if !ok {
		return "?."
	}
	return name.Name + "."
}

func TestFillWritesOnlyBetweenItsMarkers(t *testing.T) {
	part := func(name, _ string) (string, error) { return "new " + name + "\n", nil }
	page := "before\n<!-- generated: a -->\nold\n<!-- end of generated -->\nbetween\n<!-- generated: b c -->\n<!-- end of generated -->\nafter\n"
	want := "before\n<!-- generated: a -->\n\nnew a\n\n<!-- end of generated -->\nbetween\n<!-- generated: b c -->\n\nnew b c\n\n<!-- end of generated -->\nafter\n"
	for _, in := range []string{page, want} {
		if got, err := Fill(in, Generated, part); err != nil || got != want {
			t.Errorf("of\n%s\nit makes %v\n%s", in, err, got)
		}
	}
	if _, err := Fill("<!-- generated: a -->\nno end\n", Generated, part); err == nil {
		t.Error("a marker without its end is taken")
	}
}

func TestFiguresAreWrittenIntoTheirPartAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures.md")
	const page = "# Figures\n\n<!-- measured: a -->\n\nold a\n\n<!-- end of measured -->\n\n<!-- measured: b -->\n\nold b\n\n<!-- end of measured -->\n"
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFigures(file, "b", "new b\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != strings.Replace(page, "old b", "new b", 1) {
		t.Errorf("it made %v\n%s", err, got)
	}
	if err := WriteFigures(file, "c", "new c"); err == nil {
		t.Error("a part that is not there was written")
	}
}

func TestThePageOfFiguresHasItsParts(t *testing.T) {
	page, _ := Page("figures")
	for _, name := range []string{"failover", "bench-core"} {
		if !strings.Contains(page, "<!-- measured: "+name+" -->\n") {
			t.Errorf("there is no part for %s", name)
		}
	}
}
