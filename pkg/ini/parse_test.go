package ini

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// grammarCases are read by TestGrammar, by the oracle test, and by FuzzParse as
// seeds. want is what dump prints, fault a part of the error. ours says why
// supervisor reads the case differently.
var grammarCases = []struct {
	name  string
	input string
	want  string
	fault string
	ours  string
}{
	{name: "nothing", input: ""},
	{name: "blank lines and comments only", input: "\n; one\n  # two\n\n"},
	{name: "equals sign", input: "[a]\nk=v\n", want: `[a] k="v"`},
	{name: "colon", input: "[a]\nk:v\n", want: `[a] k="v"`},
	{name: "first delimiter counts", input: "[a]\ncommand:echo x=1\nurl = http://h\n", want: `[a] command="echo x=1" url="http://h"`},
	{name: "spaces around the delimiter", input: "[a]\n k \t= \tv \n", want: `[a] k="v"`},
	{name: "no newline at the end", input: "[a]\nk=v", want: `[a] k="v"`},
	{name: "keys in lower case", input: "[a]\nKeY=V\n", want: `[a] key="V"`},
	{name: "keys with blanks inside", input: "[a]\nmy key=v\n", want: `[a] my key="v"`},
	{name: "section names keep their case", input: "[A]\n[a]\n", want: "[A]\n[a]"},
	{name: "section names keep their blanks", input: "[ a ]\nk=v\n", want: `[ a ] k="v"`},
	{name: "empty value", input: "[a]\nk=\nl =\n", want: `[a] k="" l=""`},
	{name: "empty section", input: "[a]\n", want: "[a]"},
	{name: "text after the header", input: "[a] b=c\nk=v\n", want: `[a] k="v"`},
	{name: "the last bracket closes", input: "[a]b]\nk=v\n", want: `[a]b] k="v"`},
	{name: "comment after the header", input: "[a] ; [b]\nk=v\n", want: `[a] k="v"`},
	{name: "indented header", input: "  [a]\n  k=v\n", want: `[a] k="v"`},

	{name: "inline semicolon", input: "[a]\nk=v ; c\n", want: `[a] k="v"`},
	{name: "inline hash", input: "[a]\nk=v # c\n", want: `[a] k="v"`},
	{name: "marks within words are text", input: "[a]\nk=a;b#c\n", want: `[a] k="a;b#c"`},
	{name: "quotes do not protect", input: "[a]\nk=bash -c 'foo ; bar'\n", want: `[a] k="bash -c 'foo"`},
	{name: "tab before the mark", input: "[a]\nk=v\t;c\n", want: `[a] k="v"`},
	{name: "value that is a comment", input: "[a]\nk= ;c\n", want: `[a] k=""`},
	{name: "value that begins with a mark", input: "[a]\nk=;c\n", want: `[a] k=";c"`},
	{name: "the round that finds a comment wins", input: "[a]\nk=a;b ; c # d\n", want: `[a] k="a;b ; c"`},
	{name: "the earlier of one round wins", input: "[a]\nk=a ; c # d\n", want: `[a] k="a"`},
	{name: "no-break space before the mark", input: "[a]\nk=v\u00a0;c\n", want: `[a] k="v"`},
	{name: "comment hides an option", input: "[a]\n;k=v\n#l=w\n", want: "[a]"},

	{name: "continuation", input: "[a]\nk=1\n  2\n\t3\n", want: `[a] k="1\n2\n3"`},
	{name: "continuation of an empty value", input: "[a]\nk=\n  1\n  2\n", want: `[a] k="\n1\n2"`},
	{name: "continuation that looks like an option", input: "[a]\nk=1\n  l=2\n", want: `[a] k="1\nl=2"`},
	{name: "continuation that looks like a header", input: "[a]\nk=1\n  [b]\n", want: `[a] k="1\n[b]"`},
	{name: "continuation with a comment behind", input: "[a]\nk=1 ; x\n  2 # y\n", want: `[a] k="1\n2"`},
	{name: "blank lines inside stay", input: "[a]\nk=1\n\n  \n  2\n", want: `[a] k="1\n\n\n2"`},
	{name: "blank lines at the end go", input: "[a]\nk=1\n\n\n[b]\n", want: "[a] k=\"1\"\n[b]"},
	{name: "comments inside vanish", input: "[a]\nk=1\n  ; c\n# d\n  2\n", want: `[a] k="1\n2"`},
	{name: "options on one indent", input: "[a]\n  k=1\n  l=2\n   m=3\n n=4\n", want: `[a] k="1" l="2\nm=3" n="4"`},
	{name: "first option deeper than the header", input: "[a]\n    k=1\nl=2\n  3\n", want: `[a] k="1" l="2\n3"`},
	{name: "indent counts characters", input: "[a]\n\tk=1\n  2\n", want: `[a] k="1\n2"`},
	{name: "a header ends a value", input: "[a]\nk=1\n[b]\n  l=2\n", want: "[a] k=\"1\"\n[b] l=\"2\""},

	{name: "later option wins in its old place", input: "[a]\nk=1\nl=2\nK=3\n", want: `[a] k="3" l="2"`},
	{name: "repeated section is merged", input: "[a]\nk=1\nl=2\n[b]\n[a]\nk=3\nm=4\n", want: "[a] k=\"3\" l=\"2\" m=\"4\"\n[b]"},
	{name: "later value replaces all lines", input: "[a]\nk=1\n 2\nk=3\n", want: `[a] k="3"`},
	{name: "defaults", input: "[DEFAULT]\nk=1\nl=2\n[a]\nm=3\nk=4\n", want: `[a] m="3" k="4" l="2"`},
	{name: "defaults stand anywhere", input: "[a]\nm=3\n[DEFAULT]\nk=1\n", want: `[a] m="3" k="1"`},
	{name: "default in lower case is a section", input: "[default]\nk=1\n[a]\n", want: "[default] k=\"1\"\n[a]"},

	{name: "CRLF", input: "[a]\r\nk=1\r\n  2\r\n\r\n  3\r\n", want: `[a] k="1\n2\n\n3"`},
	{name: "CR", input: "[a]\rk=1\r", want: `[a] k="1"`},
	{name: "other control characters are no line ends", input: "[a]\nk=1\x1c\x0b2\u2028\u00853\n", want: `[a] k="1\x1c\v2\u2028\u00853"`},
	{name: "bad percent signs", input: "[a]\nk=100% %(nope\n", want: `[a] k="100% %(nope"`},
	{name: "letters of all kinds", input: "[\u00e9]\n\u00c4=\u6f22\n", want: "[\u00e9] \u00e4=\"\u6f22\""},

	{name: "bare key", input: "[a]\nk=v\nautostart\n", fault: `x.ini:3: [a]: "autostart" is neither a section header nor an option`},
	{name: "option before a header", input: "k=v\n[a]\n", fault: `x.ini:1: "k=v" comes before any section header`},
	{name: "no key", input: "[a]\n=v\n", fault: `x.ini:2: [a]: option "=v" has no key`},
	{name: "byte order mark", input: "\ufeff[a]\nk=v\n", fault: "x.ini:1: the file begins with a byte order mark (BOM)"},
	{name: "empty header", input: "[a]\n[]\n", fault: `x.ini:2: [a]: section header "[]" has no name`},
	{name: "open header", input: "[a]\nk=v\n[program:web\nl=w\n", fault: `x.ini:3: [a]: section header "[program:web" has no name or no closing bracket`,
		ours: "supervisor takes it for a key and loses the program"},
}

// dump prints what was read, a section on each line.
func dump(f *File) string {
	var lines []string
	for _, s := range f.Sections() {
		line := "[" + s.Name + "]"
		for _, key := range s.Keys() {
			v, _ := s.Get(key)
			line += fmt.Sprintf(" %s=%q", key, v.Text)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestGrammar(t *testing.T) {
	for _, c := range grammarCases {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse("x.ini", c.input)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("error %v, want %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := dump(f); got != c.want {
				t.Fatalf("read\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestEveryBadLineIsReportedOnce(t *testing.T) {
	_, err := Parse("x.ini", "[a]\none\nk=v\ntwo\n")
	want := []string{`x.ini:2: [a]: "one"`, `x.ini:4: [a]: "two"`}
	for i, line := range strings.Split(fmt.Sprint(err), "\n") {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Fatalf("line %d of the error is %q", i, line)
		}
	}
	var placed *Error
	if !errors.As(err, &placed) || placed.Line != 2 || placed.Section != "a" {
		t.Fatalf("the error has no place: %#v", placed)
	}
}

func TestAFileOfAnotherKindFillsNoScreen(t *testing.T) {
	_, err := Parse("x.ini", "[a]\n"+strings.Repeat("junk\n", 1000))
	if n := strings.Count(fmt.Sprint(err), "\n") + 1; n != maxProblems {
		t.Fatalf("%d problems", n)
	}
}

func TestTextThatIsNotUTF8IsRefusedWithItsLine(t *testing.T) {
	for input, want := range map[string]string{
		"[a]\nk=\xe9\n":         "x.ini:2: byte 0xe9 is not UTF-8",
		"\xff\xfe[\x00a\x00]":   "x.ini:1: the file is UTF-16",
		"[a]\nk=\xef\xbf\xbd\n": "",
	} {
		_, err := Parse("x.ini", input)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", input, err, want)
		}
	}
}

func TestValuesKnowTheirPlaces(t *testing.T) {
	f, err := Parse("x.ini", "[DEFAULT]\nd=0\n\n[a]\nk=1\n  2\nl=3\n[b]\n[a]\nk=4\n")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := f.Section("a")
	for key, line := range map[string]int{"d": 2, "k": 10, "l": 7} {
		if v, ok := a.Get(key); !ok || v.Line != line || v.File != "x.ini" {
			t.Errorf("%s is %+v, want line %d", key, v, line)
		}
		if want := key == "d"; a.Inherits(key) != want {
			t.Errorf("Inherits(%s) is %v", key, !want)
		}
	}
	if a.Line != 4 || a.File != "x.ini" {
		t.Errorf("header at %s:%d", a.File, a.Line)
	}
	if _, ok := a.Get("none"); ok || a.Inherits("none") {
		t.Error("found a key that is not there")
	}
	if err := a.Errorf("k", "wrong"); err.Error() != "x.ini:10: [a] k: wrong" {
		t.Errorf("error reads %q", err)
	}
	if err := a.Errorf("none", "missing"); err.Error() != "x.ini:4: [a] none: missing" {
		t.Errorf("error reads %q", err)
	}
	if a.Wrap("k", nil) != nil {
		t.Error("no error became one")
	}
	if m := a.Map(); m["d"] != "0" || m["k"] != "4" || len(m) != 3 {
		t.Errorf("map %v", m)
	}
}

func TestAnErrorTellsOnlyWhatItKnows(t *testing.T) {
	problem := errors.New("wrong")
	for _, c := range []struct {
		e    Error
		want string
	}{
		{Error{File: "x.ini", Err: problem}, "x.ini: wrong"},
		{Error{File: "x.ini", Section: "a", Err: problem}, "x.ini: [a]: wrong"},
		{Error{File: "x.ini", Line: 2, Section: "a", Key: "k", Err: problem}, "x.ini:2: [a] k: wrong"},
	} {
		if got := c.e.Error(); got != c.want || !errors.Is(&c.e, problem) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// drawValue draws the text of a value from what is special to the grammar.
func drawValue(t *rapid.T, label string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "b", " ", "  ", "\t", "\n", "\n\n", "\r", ";", "#", " ;", " #", "=", ":", "[", "]", "[x]", "%", "%%", "%(x)s",
		`"`, "'", `\`, "\u00a0", "\x1c", "\u00e9", "\u6f22", "\ufeff", ",", "$", "{",
	}), 0, 12).Draw(t, label), "")
}

// format writes what was read, all in one file and without comments. It fails where a Builder does.
func format(f *File) (string, error) {
	var b Builder
	sections := f.Sections()
	if len(f.defaults.order) > 0 {
		sections = append([]*Section{f.defaults}, sections...)
	}
	for _, s := range sections {
		b.Section(s.Name)
		for _, key := range s.order {
			b.Set(key, s.values[key].Text)
		}
	}
	return b.Text()
}

// checkFormatRoundTrip reads the text, prints it and reads that.
func checkFormatRoundTrip(t interface{ Fatalf(string, ...any) }, input string) {
	f, err := Parse("x.ini", input)
	if err != nil {
		return
	}
	text, err := format(f)
	if err != nil {
		// Only the quirk in the order of comment marks lets a comment mark with
		// white space before it into a value.
		if !strings.Contains(input, ";") || !strings.Contains(input, "#") {
			t.Fatalf("cannot write what was read: %v", err)
		}
		return
	}
	again, err := Parse("y.ini", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if dump(f) != dump(again) {
		t.Fatalf("first\n%s\nthen\n%s", dump(f), dump(again))
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range grammarCases {
		f.Add(c.input)
	}
	f.Fuzz(func(t *testing.T, input string) {
		checkFormatRoundTrip(t, input)
		f, err := Parse("x.ini", input)
		if !readsLikePython(input) || err != nil && strings.Contains(err.Error(), "no closing bracket") {
			return // the latter is ours, see the table
		}
		live.ask(t, question{Kind: "parse", Text: input, check: same("parse", input, sectionsOf(f), err, "")})
	})
}
