package ini

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// includeCases are trees of files with root.ini at the top. TestInclude reads
// them, and so does supervisord in the oracle test. DIR in want, fault and
// warning is the directory of root.ini.
var includeCases = []struct {
	name    string
	tree    map[string]string
	want    string
	fault   string
	warning string
	ours    string
}{
	{name: "no include", tree: map[string]string{
		"root.ini": "[supervisord]\n[a]\nk=v\n",
	}, want: "[supervisord]\n[a] k=\"v\""},
	{name: "matches are sorted and globs keep their order", tree: map[string]string{
		"root.ini":     "[supervisord]\n[include]\nfiles = z/*.ini\n  conf.d/*.ini",
		"z/1.ini":      "[z1]\n",
		"conf.d/b.ini": "[b]\nk=b\n[both]\nk=b\n", "conf.d/a.ini": "[a]\nk=a\n[both]\nk=a\n", "conf.d/B.ini": "[B]\n",
		"conf.d/c.txt": "junk",
	}, want: "[supervisord]\n[include] files=\"z/*.ini\\nconf.d/*.ini\"\n[z1]\n[B]\n[a] k=\"a\"\n[both] k=\"b\"\n[b] k=\"b\""},
	{name: "included content wins over the root", tree: map[string]string{
		"root.ini": "[include]\nfiles=a.ini\n[supervisord]\n[x]\nk=root\nl=root\n",
		"a.ini":    "[x]\nk=a\n",
	}, want: "[include] files=\"a.ini\"\n[supervisord]\n[x] k=\"a\" l=\"root\""},
	{name: "no match is a warning", tree: map[string]string{
		"root.ini": "[supervisord]\n[include]\nfiles = none/*.ini\n",
	}, want: "[supervisord]\n[include] files=\"none/*.ini\"", warning: `DIR/root.ini:3: [include] files: no file matches "none/*.ini"`},
	{name: "no files", tree: map[string]string{
		"root.ini": "[supervisord]\n[include]\nfile = a.ini\n",
	}, fault: "DIR/root.ini:2: [include]: names no files; write files = "},
	{name: "no recursion", tree: map[string]string{
		"root.ini": "[supervisord]\n[include]\nfiles = a.ini\n",
		"a.ini":    "[a]\n[include]\nfiles = b.ini\n",
		"b.ini":    "[b]\n",
	}, want: "[supervisord]\n[include] files=\"b.ini\"\n[a]", warning: "DIR/a.ini: [include] counts only in DIR/root.ini and is ignored here"},
	{name: "here is each file's own directory", tree: map[string]string{
		"root.ini":    "[supervisord]\n[include]\nfiles = %(here)s/sub/a.ini\n[x]\nk=%(here)s/%(here)s\n",
		"sub/a.ini":   "[a]\nk=%(here)s/x\n[x]\nl=%(here)s\n",
		"sub/b/c.ini": "",
	}, want: "[supervisord]\n[include] files=\"DIR/sub/a.ini\"\n[x] k=\"DIR/DIR\" l=\"DIR/sub\"\n[a] k=\"DIR/sub/x\""},
	{name: "here in a default is that of the section", tree: map[string]string{
		"root.ini":  "[supervisord]\n[include]\nfiles = sub/*.ini\n[DEFAULT]\nd=%(here)s\n[x]\n",
		"sub/a.ini": "[a]\n",
		"sub/b.ini": "[DEFAULT]\nd=%(here)s/b\ne=%(here)s/e\n[b]\n",
	}, want: "[supervisord] d=\"DIR\" e=\"DIR/sub/e\"\n[include] files=\"sub/*.ini\" d=\"DIR\" e=\"DIR/sub/e\"\n[x] d=\"DIR\" e=\"DIR/sub/e\"\n" +
		"[a] d=\"DIR/sub\" e=\"DIR/sub/e\"\n[b] d=\"DIR/sub/b\" e=\"DIR/sub/e\""},
	{name: "other names", tree: map[string]string{
		"root.ini":     "[supervisord]\n[include]\nfiles = %(ENV_WHICH)s.ini %(host_node_name).0s%(ENV_MORE)s\n",
		"a.ini":        "[a]\n",
		"b.ini":        "[b]\n",
		"100%/100.ini": "[c]\n",
	}, want: "[supervisord]\n[include] files=\"%(ENV_WHICH)s.ini %(host_node_name).0s%(ENV_MORE)s\"\n[a]\n[b]\n[c]"},
	{name: "unknown name", tree: map[string]string{
		"root.ini": "[supervisord]\n[include]\nfiles = %(program_name)s.ini\n",
	}, fault: `DIR/root.ini:3: [include] files: "%(program_name)s.ini" uses the name "program_name"`},
	{name: "error in an included file", tree: map[string]string{
		"root.ini": "[supervisord]\n[include]\nfiles = a.ini\n",
		"a.ini":    "[a]\njunk\n",
	}, fault: `DIR/a.ini:2: [a]: "junk" is neither`},
	{name: "hidden files", tree: map[string]string{
		"root.ini":         "[supervisord]\n[include]\nfiles = conf.d/*.ini conf.d/.h* */.i*\n",
		"conf.d/.a.ini":    "[editor]\n",
		"conf.d/.h.ini":    "[h]\n",
		"conf.d/.i.ini":    "[i]\n",
		".hidden/.i.ini":   "[editor]\n",
		"conf.d/plain.ini": "[plain]\n",
	}, want: "[supervisord]\n[include] files=\"conf.d/*.ini conf.d/.h* */.i*\"\n[plain]\n[h]\n[i]"},
	{name: "wild cards", tree: map[string]string{
		"root.ini": "[supervisord]\n[include]\nfiles = [!a-c].ini ?b.ini [.ini []x].cfg d*/**/*[-z].ini s*/x\n",
		"a.ini":    "[a]\n",
		"d.ini":    "[d]\n",
		"bb.ini":   "[bb]\n",
		"[.ini":    "[bracket]\n", "-.ini": "[minus]\n", "s/x": "[s]\n", "s-1/x": "[s-1]\n",
		"].cfg":      "[close]\n",
		"x.cfg":      "[xcfg]\n",
		"y.cfg":      "[ycfg]\n",
		"da/e/-.ini": "[dash]\n", "da/e/z.ini": "[z]\n", "da/e/y.ini": "[y]\n", "da/z.ini": "[shallow]\n",
	}, want: "[supervisord]\n[include] files=\"[!a-c].ini ?b.ini [.ini []x].cfg d*/**/*[-z].ini s*/x\"\n[minus]\n[bracket]\n[d]\n[bb]\n[close]\n[xcfg]\n[dash]\n[z]\n[s-1]\n[s]"},
	{name: "directories and paths with dots", tree: map[string]string{
		"root.ini":       "[supervisord]\n[include]\nfiles = conf.d/* ./conf.d/../a.ini no/../a2.ini a2.ini/\n",
		"conf.d/x/y.ini": "[no]\n",
		"conf.d/file":    "[file]\n",
		"a.ini":          "[a]\n", "a2.ini": "[a2]\n",
	}, want: "[supervisord]\n[include] files=\"conf.d/* ./conf.d/../a.ini no/../a2.ini a2.ini/\"\n[file]\n[a]", warning: `no file matches "no/../a2.ini"`},
	{name: "a file named twice", tree: map[string]string{
		"root.ini": "[supervisord]\n[include]\nfiles = a.ini *.ini\n",
		"a.ini":    "[a]\nk=a\n", "b.ini": "[a]\nk=b\n",
	}, want: "[supervisord]\n[include] files=\"a.ini *.ini\"\n[a] k=\"b\""},
	{name: "escaped here", tree: map[string]string{
		"root.ini": "[supervisord]\n[include]\nfiles =\n[a]\nk=%%(here)s %%%(here)s\n",
	}, want: "[supervisord]\n[include] files=\"\"\n[a] k=\"%%(here)s %%DIR\"", ours: "supervisor replaces it and then fails on the percent sign"},
}

var includeEnviron = map[string]string{"WHICH": "a", "MORE": "b.ini 100%/[0-9]*.ini"}

// plant writes the files of a tree and returns their directory.
func plant(t *testing.T, tree map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tree {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInclude(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the trees have names that Windows refuses")
	}
	for _, c := range includeCases {
		t.Run(c.name, func(t *testing.T) {
			dir := plant(t, c.tree)
			here := func(s string) string { return strings.ReplaceAll(s, "DIR", dir) }
			f, err := Load(filepath.Join(dir, "root.ini"), Options{Environ: includeEnviron, HostNode: "host"})
			if c.fault != "" {
				if err == nil || !strings.HasPrefix(err.Error(), here(c.fault)) {
					t.Fatalf("error %v, want %q", err, here(c.fault))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := dump(f); got != here(c.want) {
				t.Errorf("read\n%s\nwant\n%s", got, here(c.want))
			}
			if all := strings.Join(f.Warnings, "\n"); c.warning == "" && all != "" || !strings.Contains(all, here(c.warning)) {
				t.Errorf("warnings %q, want %q", all, here(c.warning))
			}
		})
	}
}

func TestFilesAndPlacesAcrossIncludes(t *testing.T) {
	dir := plant(t, map[string]string{
		"root.ini":  "[include]\nfiles=sub/*.ini\n[x]\nk=1\nl=1\n[DEFAULT]\nd=%(here)s\n",
		"sub/a.ini": "\n[x]\nk=2\n[a]\n", "sub/b.ini": "[a]\n",
	})
	root, a, b := filepath.Join(dir, "root.ini"), filepath.Join(dir, "sub", "a.ini"), filepath.Join(dir, "sub", "b.ini")
	f, err := Load(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Files(); !slices.Equal(got, []string{root, a, b}) {
		t.Errorf("files %q", got)
	}
	x, _ := f.Section("x")
	if !slices.Equal(x.Files(), []string{root, a}) || x.File != root || x.Line != 3 {
		t.Errorf("x is in %q, first %s:%d", x.Files(), x.File, x.Line)
	}
	if v, _ := x.Get("k"); v != (Value{"2", a, 3}) {
		t.Errorf("k is %+v", v)
	}
	section, _ := f.Section("a")
	if !slices.Equal(section.Files(), []string{a, b}) || !section.Inherits("d") || x.Inherits("k") {
		t.Errorf("a is in %q", section.Files())
	}
	if v, _ := section.Get("d"); v != (Value{filepath.Join(dir, "sub"), root, 7}) {
		t.Errorf("d is %+v", v)
	}
}

func TestHereWithAPercentSignStaysATemplate(t *testing.T) {
	dir := filepath.Join(plant(t, map[string]string{"100%s/root.ini": "[a]\nk=%(here)s/x\n"}), "100%s")
	f, err := Load(filepath.Join(dir, "root.ini"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := f.Section("a")
	if got, err := Expand(a.Map()["k"], nil); err != nil || got != dir+"/x" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestARelativeRootKeepsShortNames(t *testing.T) {
	dir := plant(t, map[string]string{"root.ini": "[include]\nfiles=conf.d/*.ini\n", "conf.d/a.ini": "[a]\nk=%(here)s\njunk\n"})
	t.Chdir(dir)
	_, err := Load("root.ini", Options{})
	want := filepath.Join("conf.d", "a.ini") + `:3: [a]: "junk"`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("%v, want %s", err, want)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.ini"), Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing root: %v", err)
	}
	dir := plant(t, map[string]string{"root.ini": "[include]\nfiles=*.link\n"})
	if err := os.Symlink("nowhere", filepath.Join(dir, "a.link")); err != nil {
		t.Skip(err)
	}
	_, err = Load(filepath.Join(dir, "root.ini"), Options{})
	want := fmt.Sprintf("%s:2: [include] files: include %s: ", filepath.Join(dir, "root.ini"), filepath.Join(dir, "a.link"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("dangling link: %v, want %s", err, want)
	}
}

func TestLoadAsksItsOptionsForFiles(t *testing.T) {
	files := map[string]string{"root.ini": "[include]\nfiles=x* y*\n", "x1": "[x]\n"}
	o := Options{
		ReadFile: func(path string) ([]byte, error) {
			text, ok := files[path]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return []byte(text), nil
		},
		Glob: func(dir, pattern string) ([]string, error) {
			if pattern == "y*" {
				return nil, errors.New("no disk")
			}
			return []string{"x1"}, nil
		},
	}
	_, err := Load("root.ini", o)
	if err == nil || err.Error() != `root.ini:2: [include] files: look for "y*": no disk` {
		t.Errorf("failing glob: %v", err)
	}
	files["root.ini"] = "[include]\nfiles=x*\n"
	f, err := Load("root.ini", o)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Section("x"); !ok {
		t.Error("x1 was not read")
	}
}
