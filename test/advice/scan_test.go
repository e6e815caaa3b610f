package advice

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/source"
)

// A saying is a piece of advice as it stands in a string of the product, up to the string's end.
type saying struct{ where, text string }

var load = sync.OnceValues(func() (*source.Module, error) { return source.Load("../..") })

// product is the source of the module.
func product(t *testing.T) *source.Module {
	t.Helper()
	m, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEveryPieceOfAdviceIsInARow finds advice that is in no row, and rows that nobody reads.
func TestEveryPieceOfAdviceIsInARow(t *testing.T) {
	m := product(t)
	given := map[string]bool{}
	for _, s := range sayings(m, verbs(m)) {
		row := rowOf(s.text)
		if row == nil {
			t.Errorf("%s: this advice is in no row: %.80q", s.where, s.text)
			continue
		}
		given[row.Says] = true
	}
	for _, row := range Rows {
		if !given[row.Says] {
			t.Errorf("nothing says %q any more", row.Says)
		}
		if (row.Tested == "") == (row.Parsed == "") {
			t.Errorf("%q: a test carries it out, or there is a reason why none does", row.Says)
		}
		if row.Tested != "" && !declared(m, row.Tested) {
			t.Errorf("%q: there is no test %s", row.Says, row.Tested)
		}
	}
}

// rowOf is the row of a saying, the one that says most of it.
func rowOf(text string) (found *Row) {
	for i, row := range Rows {
		if strings.HasPrefix(text, row.Says) && (found == nil || len(found.Says) < len(row.Says)) {
			found = &Rows[i]
		}
	}
	return found
}

// declared reports whether there is a function, written folder:name.
func declared(m *source.Module, name string) bool {
	folder, function, _ := strings.Cut(name, ":")
	return slices.ContainsFunc(m.Files, func(f *source.File) bool {
		return filepath.Dir(f.Path) == folder && slices.ContainsFunc(f.Syntax.Decls, func(d ast.Decl) bool {
			fn, ok := d.(*ast.FuncDecl)
			return ok && fn.Name.Name == function
		})
	})
}

// TestEverySettingThatAdviceNamesExists: "set [section] key" is advice, too.
func TestEverySettingThatAdviceNamesExists(t *testing.T) {
	named := 0
	for _, row := range Rows {
		m := regexp.MustCompile(`\[([a-z-]+)\] ([a-z_]+)`).FindStringSubmatch(row.Says)
		if m == nil {
			continue
		}
		named++
		if !slices.ContainsFunc(config.Settings, func(s config.Setting) bool { return s.Section == m[1] && s.Key == m[2] }) {
			t.Errorf("%q: there is no such setting", row.Says)
		}
	}
	if named == 0 {
		t.Error("no row names a setting")
	}
}

// TestAdviceWithoutItsProgramIsFound: whoever reads "run machines forget m1" has to guess whose command that is.
func TestAdviceWithoutItsProgramIsFound(t *testing.T) {
	m := product(t)
	bare := regexp.MustCompile("(?:run|with|use|see|and) (machines (?:remove|forget|confirm-dead)|init (?:db|config)|config (?:check|show)) ")
	inStrings(m, func(where, text string) {
		if found := bare.FindString(text); found != "" {
			t.Errorf("%s: %q names no program", where, found)
		}
	})
}

// sayings finds every piece of advice in the product's strings. verbs are the commands of each program.
func sayings(m *source.Module, verbs map[string][]string) (found []saying) {
	inStrings(m, func(where, text string) {
		for _, at := range advised(text, verbs) {
			found = append(found, saying{where, text[at:]})
		}
	})
	return found
}

// helpFields are the fields of a command that are its help: read by who asks for it.
var helpFields = []string{"Use", "Short", "Long", "Example"}

// inStrings visits the strings of the product with what people read: not help texts, and not what is only compared.
func inStrings(m *source.Module, visit func(where, text string)) {
	for _, f := range m.Files {
		if f.Test {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.ValueSpec:
				return n.Names[0].Name != "takeFiles" // the names of commands
			case *ast.KeyValueExpr:
				key, ok := n.Key.(*ast.Ident)
				return !ok || !slices.Contains(helpFields, key.Name)
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					visit(fmt.Sprintf("%s:%d", f.Path, m.Line(n.Pos())), text)
				}
			}
			return true
		})
	}
}

var (
	// command is a program with its first word. distsuperd solo is a daemon's name as well: it is advice with a file.
	command = regexp.MustCompile(`\b(distsuperctl|distsuperagent|distsuperd) (?:-c \S+ )?([a-z][a-z-]*|--etcd-endpoints)( -c)?`)
	// others are pieces of advice that are no command of ours.
	others = regexp.MustCompile("systemctl (?:disable|enable|start|stop)|`ch(?:mod|own) |remove the file|\\bkill (?:-|%d)|\\bset \\[|give each its|create it;")
)

// advised says where in a text advice begins.
func advised(text string, verbs map[string][]string) (at []int) {
	for _, m := range command.FindAllStringSubmatchIndex(text, -1) {
		verb := text[m[4]:m[5]]
		known := strings.HasPrefix(verb, "-") || slices.Contains(verbs[text[m[2]:m[3]]], verb)
		if known && (verb != "solo" || m[6] >= 0) {
			at = append(at, m[0])
		}
	}
	for _, m := range others.FindAllStringIndex(text, -1) {
		at = append(at, m[0])
	}
	return at
}

// verbs are the first words of the commands of each program, as the source names them.
func verbs(m *source.Module) map[string][]string {
	common := []string{"start", "run", "stop", "restart", "status", "check"} // of both daemons
	found := map[string][]string{"distsuperd": slices.Clone(common), "distsuperagent": common}
	for _, f := range m.Files {
		parts := strings.Split(f.Path, "/")
		if f.Test || parts[0] != "cmd" {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			kv, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, _ := kv.Key.(*ast.Ident)
			if lit, ok := kv.Value.(*ast.BasicLit); ok && key != nil && key.Name == "Use" {
				verb, _, _ := strings.Cut(strings.Trim(lit.Value, "\"`"), " ")
				found[parts[1]] = append(found[parts[1]], verb)
			}
			return true
		})
	}
	return found
}
