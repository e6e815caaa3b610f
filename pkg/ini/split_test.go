package ini

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// splitCases are read by TestSplit, by the oracle test, and by FuzzSplit as
// seeds.
var splitCases = []struct {
	command string
	want    []string
	fault   string
}{
	{command: ""},
	{command: "  \t\r\n "},
	{command: "a b  c", want: []string{"a", "b", "c"}},
	{command: "\n a\n\tb\r\n", want: []string{"a", "b"}},
	{command: `'a b' "c d"`, want: []string{"a b", "c d"}},
	{command: `a'b'"c"d`, want: []string{"abcd"}},
	{command: `'' ""`, want: []string{"", ""}},
	{command: `a '' b`, want: []string{"a", "", "b"}},
	{command: `a\ b \'c\"`, want: []string{"a b", `'c"`}},
	{command: `"a\"b\\c\d\$"`, want: []string{`a"b\c\d\$`}},
	{command: `'a\b"c'`, want: []string{`a\b"c`}},
	{command: "a\\\nb", want: []string{"a\nb"}},
	{command: "\"a\\\nb\"", want: []string{"a\\\nb"}},
	{command: "a # b", want: []string{"a", "#", "b"}},
	{command: "a|b && $(c) {d,e} ~", want: []string{"a|b", "&&", "$(c)", "{d,e}", "~"}},
	{command: "a\u00a0b \u6f22\u5b57\v", want: []string{"a\u00a0b", "\u6f22\u5b57\v"}},
	{command: `bash -c "echo 'x y'"`, want: []string{"bash", "-c", "echo 'x y'"}},
	{command: `a 'b`, fault: "No closing quotation"},
	{command: `a "b'`, fault: "No closing quotation"},
	{command: `"a\"`, fault: "No closing quotation"},
	{command: `a \`, fault: "No escaped character"},
	{command: `"a\`, fault: "No escaped character"},
}

func TestSplit(t *testing.T) {
	for _, c := range splitCases {
		got, err := Split(c.command)
		switch {
		case c.fault != "":
			if err == nil || err.Error() != c.fault {
				t.Errorf("%q: %q, %v, want %q", c.command, got, err, c.fault)
			}
		case err != nil || !slices.Equal(got, c.want):
			t.Errorf("%q: %q, %v, want %q", c.command, got, err, c.want)
		}
	}
}

func TestShellMetacharacters(t *testing.T) {
	for command, want := range map[string][]string{
		"serve --port 80":                 nil,
		"a | b || c":                      {"|"},
		"a && b > /dev/null 2>&1":         {"&", ">"},
		"a; b < c":                        {";", "<"},
		"echo $(date) `date`":             {"$(", "`"},
		"echo $HOME (x)":                  nil,
		"cd /opt && serve":                {"cd", "&"},
		"  cd\t/opt":                      {"cd"},
		"cd":                              nil,
		"cdparanoia x":                    nil,
		`bash -c "a | b; c && d $(e) <f"`: nil,
		`bash -c 'a | b' | d`:             {"|"},
		`a \| b \; '\' | c`:               {"|"},
		`"a\"|b" 'c"|'`:                   nil,
	} {
		if got := ShellMetacharacters(command); !slices.Equal(got, want) {
			t.Errorf("%q has %q, want %q", command, got, want)
		}
	}
}

func TestFormatCommandGuardsOnlyWhatIsInDanger(t *testing.T) {
	for command, want := range map[string]string{
		"serve  --port\t80":      "serve  --port\t80",
		"serve %(program_name)s": "serve %(program_name)s",
		"a;b 'c;d' #":            `a;b 'c;d' ""#`,
		"bash -c 'a ; b'":        "bash -c 'a ''; b'",
		`bash -c "a # b"`:        `bash -c "a ""# b"`,
		"a \n  b\n\nc":           "a\nb\n\nc",
		"a 'b \n  c'":            "a 'b ''\n''  c'",
		"  a ":                   "a",
		`a\ `:                    `a\ ""`,
		"'a\\' \n ;b":            "'a\\'\n\"\";b",
		";a":                     ";a",
	} {
		if got, err := FormatCommand(command); err != nil || got != want {
			t.Errorf("%q is written as %q, %v, want %q", command, got, err, want)
		}
		checkCommandRoundTrip(t, command)
		got, err := Split(command)
		if got == nil {
			got = []string{}
		}
		live.ask(t, question{Kind: "split", Text: command, check: same("split", command, got, err, "")})
	}
}

// checkCommandRoundTrip writes a command into a file, reads it and splits it.
func checkCommandRoundTrip(t interface{ Fatalf(string, ...any) }, command string) {
	want, wantErr := Split(command)
	text, err := FormatCommand(command)
	if strings.Contains(command, "\r") {
		if err == nil {
			t.Fatalf("%q was written as %q", command, text)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q: %v", command, err)
	}
	read := text
	if strings.ToValidUTF8(command, "") == command {
		read = throughFile(t, text)
	}
	got, err := Split(read)
	if (err == nil) != (wantErr == nil) || !slices.Equal(got, want) {
		t.Fatalf("%q was written as %q and splits into %q (%v), want %q (%v)", command, text, got, err, want, wantErr)
	}
}

// throughFile returns a value after it was written and read.
func throughFile(t interface{ Fatalf(string, ...any) }, value string) string {
	var b Builder
	b.Section("s")
	b.Set("k", value)
	b.Set("l", "next")
	text, err := b.Text()
	if err != nil {
		t.Fatalf("%v", err)
	}
	f, err := Parse("x.ini", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s, _ := f.Section("s")
	return s.Map()["k"]
}

func TestAWrittenCommandSplitsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkCommandRoundTrip(t, drawWords(t)) })
}

// drawWords draws text from what is special to shlex and to the grammar.
func drawWords(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "b", " ", "\t", "\n", `"`, "'", `\`, `\"`, ";", "#", " ;", "\n#", "%", "=", "[", "]", "$", "\u00a0", "\x1c", "\u00e9",
	}), 0, 14).Draw(t, "words"), "")
}

func FuzzSplit(f *testing.F) {
	for _, c := range splitCases {
		f.Add(c.command)
	}
	f.Fuzz(func(t *testing.T, command string) {
		if _, err := Split(command); err != nil && err != ErrNoClosingQuotation && err != errNoEscapedCharacter {
			t.Fatalf("%q: %v", command, err)
		}
		ShellMetacharacters(command)
		checkCommandRoundTrip(t, command)
		got, err := Split(command)
		if got == nil {
			got = []string{}
		}
		live.ask(t, question{Kind: "split", Text: command, check: same("split", command, got, err, "")})
	})
}
