package ini

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// expandVars are the names that the cases use.
var expandVars = Vars{
	"here": "/etc", "program_name": "web", "process_num": 7, "negative": -42, "zero": 0, "big": 123456789, "surrogate": 0xd800,
	"ENV_HOME": "/root", "ENV_ODD": "50% 'a' \"b\"\\\n\t\x01\u00e9\u6f22\U0001f600\u00ad", "ENV_APOS": "it's", "x": "\u00e9", "a(b)": "nested", "": "empty",
}

// expandCases are read by TestExpand, by the oracle test, and by FuzzExpand as
// seeds. fault is a part of the error; ours says why Python differs.
var expandCases = []struct {
	template string
	want     string
	fault    string
	ours     string
}{
	{template: "", want: ""},
	{template: "plain", want: "plain"},
	{template: "100%%", want: "100%"},
	{template: "%%(here)s", want: "%(here)s"},
	{template: "%(here)s/x %(program_name)s", want: "/etc/x web"},
	{template: "%(a(b))s%()s", want: "nestedempty"},
	{template: "%(program_name)-6s|%(program_name)6s|%(program_name)06s", want: "web   |   web|   web"},
	{template: "%(program_name).2s|%(program_name)5.1s|%(program_name).s", want: "we|    w|"},
	{template: "%(ENV_ODD).9s", want: "50% 'a' \""},
	{template: "%(x)5s|%(x)c|%(x)a", want: "    \u00e9|\u00e9|'\\xe9'"},
	{template: "%(ENV_HOME)r %(ENV_ODD)r %(ENV_APOS)r", want: `'/root' '50% \'a\' "b"\\\n\t\x01` + "\u00e9\u6f22\U0001f600" + `\xad' "it's"`},
	{template: "%(ENV_ODD)a", want: `'50% \'a\' "b"\\\n\t\x01\xe9\u6f22\U0001f600\xad'`},
	{template: "%(process_num)d %(process_num)i %(process_num)u %(process_num)s %(process_num)r %(process_num)a", want: "7 7 7 7 7 7"},
	{template: "%(process_num)02d|%(process_num)3d|%(process_num)-3d|%(process_num)+d|%(process_num) d", want: "07|  7|7  |+7| 7"},
	{template: "%(negative)05d|%(negative)-05d|%(negative).4d|%(negative)08.4d|%(negative)+6d", want: "-0042|-42  |-0042|-0000042|   -42"},
	{template: "%(big)x %(big)X %(big)#x %(big)#X %(big)o %(big)#o", want: "75bcd15 75BCD15 0x75bcd15 0X75BCD15 726746425 0o726746425"},
	{template: "%(negative)#08x|%(negative)#-8x|%(negative)#8x|%(negative)#.4x", want: "-0x0002a|-0x2a   |   -0x2a|-0x002a"},
	{template: "%(big)e %(big)E %(big)f %(big)F %(big)g %(big)G", want: "1.234568e+08 1.234568E+08 123456789.000000 123456789.000000 1.23457e+08 1.23457E+08"},
	{template: "%(big).2e|%(big).0f|%(big)#.0f|%(big).12g|%(big)#.12g|%(zero)g|%(zero)#g", want: "1.23e+08|123456789|123456789.|123456789|123456789.000|0|0.00000"},
	{template: "%(negative)010.2f|%(negative)+.1e|%(process_num)+g|%(process_num).0g", want: "-000042.00|-4.2e+01|+7|7"},
	{template: "%(process_num)c%(big).2s%(big)-12dx", want: "\x0712123456789   x"},
	{template: "%(process_num)ld%(process_num)hd%(process_num)Ld", want: "777"},
	{template: "%(process_num)- +#05d|", want: "+7   |"},

	{template: "%(nope)s", fault: `uses the name "nope", which cannot be expanded here; available names: , ENV_APOS, ENV_HOME, ENV_ODD, a(b), big, here, negative, process_num, program_name, surrogate, x, zero`},
	{template: "%(here)%", fault: "unknown conversion"},
	{template: "%5%", fault: "or %%5%% for a percent sign"},
	{template: "% %", fault: "names no variable"},
	{template: "%(here", fault: "badly formatted"},
	{template: "%(here)", fault: `badly formatted: "%(here)" ends before its conversion; write %(here)s`},
	{template: "%(here)05.2", fault: "ends before its conversion"},
	{template: "%(here)y", fault: `unknown conversion 'y'`},
	{template: "%(here)lls", fault: `unknown conversion 'l'`},
	{template: "%(ENV_HOME)d", fault: "needs a number, but ENV_HOME is text; write %(ENV_HOME)s"},
	{template: "%(ENV_HOME)x", fault: "needs a number"},
	{template: "%(ENV_HOME)f", fault: "needs a number"},
	{template: "%(ENV_HOME)c", fault: "single character"},
	{template: "%(negative)c", fault: "not a character"},
	{template: "%(process_num)*d", fault: "badly formatted"},
	{template: "%(process_num).*d", fault: "badly formatted"},
	{template: "100%", fault: `"%" names no variable; write %(name)s, or %% for a percent sign`},
	{template: "date +%d", fault: "or %%d for a percent sign"},
	{template: "50% off", fault: "or %% o for a percent sign"},
	{template: "%y", fault: "names no variable"},
	{template: "%*d", fault: "badly formatted"},
	{template: "echo %s", fault: "or %%s for a percent sign", ours: "Python prints the whole dictionary"},
	{template: "echo %-10r", fault: "names no variable", ours: "Python prints the whole dictionary"},
	{template: "%(surrogate)c", fault: "55296 is not a character", ours: "Python's strings can hold half a character"},
	{template: "%(here)99999s", fault: "width or precision above 10000", ours: "Python takes any width"},
}

func TestExpand(t *testing.T) {
	for _, c := range expandCases {
		got, err := Expand(c.template, expandVars)
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: %q, %v, want the error %q", c.template, got, err, c.fault)
			}
		case err != nil || got != c.want:
			t.Errorf("%q: %q, %v, want %q", c.template, got, err, c.want)
		}
	}
}

func TestUnknownNamesAreToldApart(t *testing.T) {
	_, err := Expand("%(here)s %(nope)s", Vars{"here": "/"})
	var unknown *UnknownNameError
	if !errors.As(err, &unknown) || unknown.Name != "nope" || !slices.Equal(unknown.Available, []string{"here"}) {
		t.Fatalf("%v", err)
	}
}

func TestOnlyStringsAndIntegersExpand(t *testing.T) {
	if _, err := Expand("%(x)s", Vars{"x": 1.5}); err == nil {
		t.Fatal("a float was expanded")
	}
}

func isEnv(name string) bool { return strings.HasPrefix(name, "ENV_") }

func TestExpandKnownLeavesATemplate(t *testing.T) {
	vars := Vars{"p": "50%", "n": 7}
	for template, want := range map[string]string{
		"%(p)s %(n)02d 100%%":           "50%% 07 100%%",
		"%(ENV_A)-5s%(p)s":              "%(ENV_A)-5s50%%",
		"%(p)5s":                        "  50%%",
		"%%(ENV_A)s":                    "%%(ENV_A)s",
		"%(ENV_A)s%(ENV_B)s%(ENV_A)03d": "%(ENV_A)s%(ENV_B)s%(ENV_A)03d",
	} {
		if got, err := ExpandKnown(template, vars, isEnv); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", template, got, err, want)
		}
	}
	for _, template := range []string{"%(other)s", "%s", "%(ENV_A)y", "%(ENV_A)%", "%(ENV_A", "%"} {
		if got, err := ExpandKnown(template, vars, isEnv); err == nil {
			t.Errorf("%q became %q", template, got)
		}
	}
	if got, err := ExpandKnown("%(ENV_A)s", Vars{"ENV_A": "known"}, isEnv); err != nil || got != "known" {
		t.Errorf("a known name was deferred: %q, %v", got, err)
	}
}

// pieces are what drawTemplate puts together: mostly right, sometimes broken.
var pieces = []string{
	"%(p)s", "%(p)-9s", "%(p).1s", "%(p)r", "%(n)02d", "%(n)#x", "%(n)e", "%(ENV_A)s", "%(ENV_A)5s", "%(ENV_A)r", "%(ENV_N)03d", "%(ENV_N)s",
	"%%", "%%%%", "a", " ", "(", ")", "s", "/", `"`, "=", ",",
}

var brokenPieces = []string{"%", "%s", "%(p)d", "%(ENV_A)d", "%(p", "%(p)", "%(p)y", "%(nope)s", "%(ENV_A)*d", "%5%", "%(p)%", "%(ENV_A)%"}

func drawTemplate(t *rapid.T) string {
	template := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 10).Draw(t, "pieces"), "")
	if rapid.IntRange(0, 9).Draw(t, "broken") == 0 {
		template += rapid.SampledFrom(brokenPieces).Draw(t, "piece")
	}
	return template
}

// checkTwoSteps compares expanding in two steps with expanding at once. It
// returns false when both failed.
func checkTwoSteps(t interface{ Fatalf(string, ...any) }, template string, first, second Vars) bool {
	all := Vars{}
	for _, vars := range []Vars{second, first} {
		for name, value := range vars {
			all[name] = value
		}
	}
	later := func(name string) bool { _, ok := second[name]; return ok }
	want, wantErr := Expand(template, all)
	half, err := ExpandKnown(template, first, later)
	if err != nil {
		if wantErr == nil {
			t.Fatalf("%q: the first step fails: %v", template, err)
		}
		return false
	}
	got, err := Expand(half, second)
	if (err == nil) != (wantErr == nil) || got != want {
		t.Fatalf("%q became %q, then %q (%v), want %q (%v)", template, half, got, err, want, wantErr)
	}
	return err == nil
}

func TestTwoStepsExpandLikeOne(t *testing.T) {
	tried, worked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		tried++
		text := rapid.StringOf(rapid.SampledFrom([]rune("%()sd0a \"'\\\u00e9")))
		first := Vars{"p": text.Draw(t, "p"), "n": rapid.Int().Draw(t, "n")}
		second := Vars{"ENV_A": text.Draw(t, "a"), "ENV_N": rapid.Int().Draw(t, "m")}
		if checkTwoSteps(t, drawTemplate(t), first, second) {
			worked++
		}
	})
	if worked < tried/5 { // -short tries few
		t.Fatalf("only %d of %d templates could be expanded: the property says little", worked, tried)
	}
}

func TestEscapedTextExpandsToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text") + drawTemplate(t)
		if got, err := Expand(EscapePercent(text), nil); err != nil || got != text {
			t.Fatalf("%q became %q, %v", text, got, err)
		}
	})
}

func TestReferences(t *testing.T) {
	names, err := References("%(b)s %% %(a)02d %(b)r %(ENV_X)-5s")
	if err != nil || !slices.Equal(names, []string{"b", "a", "ENV_X"}) {
		t.Fatalf("%v, %v", names, err)
	}
	if names, err := References("plain"); err != nil || len(names) != 0 {
		t.Fatalf("%v, %v", names, err)
	}
	if _, err := References("%(b)s %d"); err == nil {
		t.Fatal("a malformed template has references")
	}
}

func FuzzExpand(f *testing.F) {
	for _, c := range expandCases {
		f.Add(c.template, "web", 7, "/root")
	}
	f.Fuzz(func(t *testing.T, template, text string, n int, later string) {
		first := Vars{"here": text, "process_num": n}
		second := Vars{"ENV_HOME": later, "ENV_N": n}
		checkTwoSteps(t, template, first, second)
		if got, err := Expand(EscapePercent(template), nil); err != nil || got != template {
			t.Fatalf("escaped %q became %q, %v", template, got, err)
		}
		got, err := Expand(template, first)
		if !utf8.ValidString(template+text) || err != nil && oursAlone(err) {
			return
		}
		live.ask(t, question{Kind: "expand", Text: template, Vars: first, check: same("expand", template, got, err, "")})
	})
}
