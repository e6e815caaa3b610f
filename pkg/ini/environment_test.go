package ini

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// environmentCases are read by TestParseEnvironment, by the oracle test, and by
// FuzzEnvironment as seeds. want is what dumpEnvironment prints, fault a part of
// the error; ours says what supervisor does instead.
var environmentCases = []struct {
	text  string
	want  string
	fault string
	ours  string
}{
	{text: ""},
	{text: " \n "},
	{text: `A=1,B="2"`, want: `A="1" B="2"`},
	{text: `A=1,B=2,`, want: `A="1" B="2"`},
	{text: "A=1\n,\nB=2,\n", want: `A="1" B="2"`},
	{text: `A = 1 , B = 2`, want: `A="1" B="2"`},
	{text: `A="x,y",B='x,y'`, want: `A="x,y" B="x,y"`},
	{text: `A="a\"b",B="",C=''`, want: `A="a\"b" B="" C=""`},
	{text: `A="x"y`, want: `A="xy"`},
	{text: `A=x"y z"'w'`, want: `A="xy zw"`},
	{text: `A=a/b.c:d-e+f(g)_1`, want: `A="a/b.c:d-e+f(g)_1"`},
	{text: "A=\u00e9t\u00e9", want: "A=\"\u00e9t\u00e9\""},
	{text: `A=a\ b\,c`, want: `A="a b,c"`},
	{text: `A=C:\dir,B='C:\dir',C="C:\dir"`, want: `A="C:dir" B="C:\\dir" C="C:\\dir"`},
	{text: "A=\"x\n  y\"", want: `A="x\n  y"`},
	{text: `1A=1,A-B=2,A.B=3`, want: `1A="1" A-B="2" A.B="3"`},
	{text: `"A B"=1`, want: `A B="1"`},
	{text: `A="$PYTHONPATH:/x"`, want: `A="$PYTHONPATH:/x"`},
	{text: `A=1,B=2,A=3`, want: `A="3" B="2"`},
	{text: `A=1;B=2`, want: `A="1" B="2"`},
	{text: `A=*,B=$,C=@`, want: `A="*" B="$" C="@"`},
	{text: `A="100%"`, want: `A="100%"`},

	{text: `A=`, fault: `A has no value; write A=""`},
	{text: `A=1,B=`, fault: `B has no value`},
	{text: `A`, fault: `no = after A; write A="value"`},
	{text: `A B`, fault: `no = after A`},
	{text: `=1`, fault: "found = where a name was expected"},
	{text: `,A=1`, fault: "found , where a name was expected"},
	{text: `A=1,,B=2`, fault: "found , where a name was expected"},
	{text: `A=a,b`, fault: `no = after b; write b="value", or quote the value of A if this belongs to it`},
	{text: `A=a@b`, fault: "found @ after the value of A; quote the whole value"},
	{text: `A=x&y`, fault: "found & after the value of A"},
	{text: `A="1" B="2"`, fault: "found B after the value of A"},
	{text: `A=#y`, fault: `A has no value before the character #`},
	{text: `A="x`, fault: "value of A: No closing quotation"},
	{text: `A='x" ,B=1`, fault: "value of A: No closing quotation"},
	{text: `A=x\`, fault: "value of A: No escaped character"},

	{text: `A=a b`, fault: `found b after the value of A; quote the whole value, as in A="..."`, ours: "a"},
	{text: `A=$B`, fault: "found B after the value of A; quote the whole value", ours: "$"},
	{text: `A=~x`, fault: "found x after the value of A; quote the whole value", ours: "~"},
	{text: `A=x#y`, fault: "found # after the value of A; quote the whole value", ours: "x"},
	{text: `A=100%`, fault: "found % after the value of A; quote the whole value", ours: "100"},
	{text: `A=100%%`, fault: "found % after the value of A; quote the whole value"},
	{text: `A=http://h/?a=1`, fault: "found ? after the value of A", ours: "two variables"},
	{text: `A=1 "," B=2`, fault: `found "," after the value of A`, ours: "two variables"},
	{text: `A=x&y=1`, fault: "found & after the value of A", ours: "two variables"},
	{text: `A==`, fault: "A has no value before the character =", ours: "="},
	{text: `A=,`, fault: "A has no value before the character ,", ours: ","},
	{text: "A=\u6f22\u5b57", fault: "found \u5b57 after the value of A", ours: "the first letter"},
	{text: `""=1`, fault: "a name is empty", ours: "a variable without a name"},
	{text: `"A=B"=1`, fault: `the name "A=B" may hold no equals sign`, ours: "another variable in the child"},
	{text: "A=\"\x00\"", fault: "may hold no NUL", ours: "a program that cannot start"},
	{text: `@=1`, fault: "found @ where a name was expected", ours: "a variable @"},
	{text: "A=1 # B\n,B=2", fault: "found # after", ours: "a comment"},
}

// parsePlainEnvironment reads an environment in which a percent sign means nothing.
func parsePlainEnvironment(text string) (Environment, error) { return parseEnvironment(atomsOf(text)) }

func dumpEnvironment(e Environment) string {
	var parts []string
	for _, v := range e {
		parts = append(parts, fmt.Sprintf("%s=%q", v.Name, v.Value))
	}
	return strings.Join(parts, " ")
}

func TestEnvironmentWithoutReferences(t *testing.T) {
	for _, c := range environmentCases {
		got, err := parsePlainEnvironment(c.text)
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: %v, %v, want the error %q", c.text, got, err, c.fault)
			}
		case err != nil || dumpEnvironment(got) != c.want:
			t.Errorf("%q: %v, %v, want %s", c.text, dumpEnvironment(got), err, c.want)
		}
	}
}

func TestParseEnvironmentTemplate(t *testing.T) {
	for text, want := range map[string]string{
		`A=%(ENV_HOME)s/bin,B="x%(ENV_Y)s"`: `A="%(ENV_HOME)s/bin" B="x%(ENV_Y)s"`,
		`A=100%%,B="100%% ,"`:               `A="100%%" B="100%% ,"`,
		`A=%(n)02d%(n)-5s`:                  `A="%(n)02d%(n)-5s"`,
		`%(p)s_A=1`:                         `%(p)s_A="1"`,
		`A=%(a "b, c)s`:                     `A="%(a \"b, c)s"`,
		`A=\%%,B="\%(x)s",C='%(x)s'`:        `A="%%" B="\\%(x)s" C="%(x)s"`,
	} {
		got, err := ParseEnvironmentTemplate(text)
		if err != nil || dumpEnvironment(got) != want {
			t.Errorf("%q: %s, %v, want %s", text, dumpEnvironment(got), err, want)
		}
	}
	for text, fault := range map[string]string{
		`A="100%"`:        "badly formatted",
		`A=%s`:            "%%s",
		`A="%(x)"s`:       "unknown conversion",
		`A=%(x`:           "badly formatted",
		`A=%(x)s b`:       "found b after the value of A",
		`A=%(x)s %(y)s=1`: "found %(y)s after the value of A",
		`%(all)s`:         "no = after %(all)s",
	} {
		if got, err := ParseEnvironmentTemplate(text); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v, %v, want the error %q", text, got, err, fault)
		}
	}
}

func TestEnvironmentIsAMap(t *testing.T) {
	e := Environment{{"A", "1"}, {"B", ""}}
	if m := e.Map(); len(m) != 2 || m["A"] != "1" {
		t.Errorf("map %v", m)
	}
}

// Where supervisor's order works (values without special characters), parsing
// first and expanding later gives the same as expanding first.
func TestTemplateEnvironmentAgreesWithExpandingFirst(t *testing.T) {
	plain := rapid.StringOfN(rapid.SampledFrom([]rune("ab/.:-_09")), 1, 5, -1)
	rapid.Check(t, func(t *rapid.T) {
		vars := Vars{"ENV_A": plain.Draw(t, "a"), "n": rapid.IntRange(0, 99).Draw(t, "n")}
		var parts []string
		for i := range rapid.IntRange(0, 4).Draw(t, "count") {
			value := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
				"%(ENV_A)s", "%(n)02d", "a", "/x", `"b c"`, `"%(ENV_A)s, %(n)d"`, `'%%'`, `\ `, `"\""`,
			}), 1, 5).Draw(t, "value"), "")
			parts = append(parts, fmt.Sprintf("K%d=%s", i, value))
		}
		template := strings.Join(parts, ",")
		text, err := Expand(template, vars)
		if err != nil {
			t.Fatal(err)
		}
		want, err := parsePlainEnvironment(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseEnvironmentTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i].Value, err = Expand(got[i].Value, vars); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s\nexpanded later %v\nexpanded first %v", template, got, want)
		}
	})
}

// checkEnvironmentRoundTrip writes an environment into a file and reads it, both
// as text and as templates.
func checkEnvironmentRoundTrip(t interface{ Fatalf(string, ...any) }, e Environment) {
	text, err := FormatEnvironment(e)
	if err != nil {
		if !strings.Contains(fmt.Sprint(e), "\r") {
			t.Fatalf("%q: %v", e, err)
		}
		return
	}
	read, err := Expand(throughFile(t, EscapePercent(text)), nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if got, err := parsePlainEnvironment(read); err != nil || !slices.Equal(got, e) {
		t.Fatalf("%q was written as %q and reads as %q, %v", e, text, got, err)
	}
	got, err := ParseEnvironmentTemplate(throughFile(t, EscapePercent(text)))
	if err != nil || len(got) != len(e) {
		t.Fatalf("%q: %v, %v", text, got, err)
	}
	for i, v := range got {
		if value, err := Expand(v.Value, nil); err != nil || value != e[i].Value {
			t.Fatalf("%q is template %q, then %q, %v", e[i].Value, v.Value, value, err)
		}
	}
}

func TestAWrittenEnvironmentReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Environment
		for range rapid.IntRange(0, 3).Draw(t, "count") {
			name := rapid.SampledFrom([]string{"A", "B", "A-B", "a b", " ;x", "100%", "\n", "\u6f22", `q"q`, ","}).Draw(t, "name")
			e = e.with(Variable{name, drawWords(t) + drawValue(t, "value")})
		}
		checkEnvironmentRoundTrip(t, e)
	})
}

func TestTemplatesInAnEnvironmentAreWrittenAsTheyAre(t *testing.T) {
	e := Environment{{"A", "%(ENV_X)s ;\n%% \"q\""}, {"%(p)s_B", ""}}
	text, err := FormatEnvironment(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEnvironmentTemplate(throughFile(t, text))
	if err != nil || !slices.Equal(got, e) {
		t.Fatalf("%q was written as %q and reads as %q, %v", e, text, got, err)
	}
}

func TestFormatEnvironment(t *testing.T) {
	got, err := FormatEnvironment(Environment{{"A", "x ;y"}, {"B C", `a\"`}, {"D", "1\n\n 2"}})
	want := `A="x "";y","B C"="a\\\"",D="1""` + "\n" + `""""` + "\n" + `"" 2"`
	if err != nil || got != want {
		t.Fatalf("%s, %v, want\n%s", got, err, want)
	}
	for _, e := range []Environment{{{"", "x"}}, {{"A=B", "x"}}, {{"A", "\x00"}}, {{"A", "\r"}}} {
		if text, err := FormatEnvironment(e); err == nil {
			t.Errorf("%q was written as %q", e, text)
		}
	}
}

func FuzzEnvironment(f *testing.F) {
	for _, c := range environmentCases {
		f.Add(c.text)
	}
	f.Add(`A=%(ENV_HOME)s/bin,B="x%(ENV_Y)s",C=%%`)
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := ParseEnvironmentTemplate(text); err == nil {
			for _, v := range e {
				if _, err := References(v.Value); err != nil {
					t.Fatalf("%q has the value %q: %v", text, v.Value, err)
				}
			}
		}
		e, err := parsePlainEnvironment(text)
		if err == nil && strings.ToValidUTF8(text, "") == text {
			checkEnvironmentRoundTrip(t, e)
			pairs := [][]string{}
			for _, v := range e {
				pairs = append(pairs, []string{v.Name, v.Value})
			}
			// We may refuse more than supervisor, but what we take is what it takes.
			live.ask(t, question{Kind: "environment", Text: text, check: same("environment", text, pairs, nil, "")})
		}
	})
}
