package advice

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/source"
)

// foreign are flags of other programs that a message names, and whose they are.
var foreign = map[string]string{"quota-backend-bytes": "etcd", "now": "systemctl", "queue": "a program in an example"}

// TestEveryFlagThatAMessageNamesExists: a flag is often the whole advice, as in "remove it without --dead".
func TestEveryFlagThatAMessageNamesExists(t *testing.T) {
	m := product(t)
	known := flags(m)
	named := 0
	inStrings(m, func(where, text string) {
		for _, found := range regexp.MustCompile(`[ ("\x60]--([a-z][a-z-]+)`).FindAllStringSubmatch(text, -1) {
			named++
			if flag := found[1]; !known[flag] && foreign[flag] == "" {
				t.Errorf("%s: there is no flag --%s: %.80q", where, flag, text)
			}
		}
	})
	if named < 20 {
		t.Errorf("found only %d flags in messages", named)
	}
}

// flags are those of the three programs: settings, and what the source makes with a method such as BoolVar or StringP.
func flags(m *source.Module) map[string]bool {
	known := map[string]bool{"help": true, "version": true}
	for _, s := range config.Settings {
		known[s.Flag] = true
	}
	makes := regexp.MustCompile(`^(Bool|String|Duration|Int|Int64|Count|StringArray|StringSlice)(Var)?P?$`)
	for _, f := range m.Files {
		if f.Test {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && strings.HasSuffix(v.Names[0].Name, "Flag") && len(v.Values) == 1 {
				if lit, ok := v.Values[0].(*ast.BasicLit); ok {
					known[strings.Trim(lit.Value, `"`)] = true
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if method, ok := call.Fun.(*ast.SelectorExpr); !ok || !makes.MatchString(method.Sel.Name) {
				return true
			}
			for _, arg := range call.Args {
				if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if name, err := strconv.Unquote(lit.Value); err == nil && !strings.Contains(name, " ") {
						known[name] = true
					}
				}
			}
			return true
		})
	}
	return known
}
