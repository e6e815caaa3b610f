package ini

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// valueCases are read by TestValues and by the oracle test. kind names a row of
// valueKinds; want is the value as %v prints it, fault a part of the error; ours
// says why supervisor differs.
var valueCases = []struct {
	kind  string
	text  string
	want  string
	fault string
	ours  string
}{
	{kind: "bool", text: "true", want: "true"},
	{kind: "bool", text: "YES", want: "true"},
	{kind: "bool", text: "On", want: "true"},
	{kind: "bool", text: "1", want: "true"},
	{kind: "bool", text: "false", want: "false"},
	{kind: "bool", text: "No", want: "false"},
	{kind: "bool", text: "off", want: "false"},
	{kind: "bool", text: "0", want: "false"},
	{kind: "bool", text: "", fault: `not a boolean: ""; write true, yes, on or 1`},
	{kind: "bool", text: "t", fault: "not a boolean"},
	{kind: "bool", text: "unexpected", fault: "not a boolean"},

	{kind: "int", text: "10", want: "10"},
	{kind: "int", text: " -5 ", want: "-5"},
	{kind: "int", text: "+007", want: "7"},
	{kind: "int", text: "1_000", want: "1000"},
	{kind: "int", text: "1__0", fault: `not a whole number: "1__0"; write digits`},
	{kind: "int", text: "_1", fault: "not a whole number"},
	{kind: "int", text: "1_", fault: "not a whole number"},
	{kind: "int", text: "-_1", fault: "not a whole number"},
	{kind: "int", text: "1.5", fault: "not a whole number"},
	{kind: "int", text: "", fault: "not a whole number"},
	{kind: "int", text: "0x10", fault: "not a whole number"},
	{kind: "int", text: "1 0", fault: "not a whole number"},
	{kind: "int", text: "99999999999999999999", fault: "not a whole number", ours: "Python's numbers have no bounds"},

	{kind: "bytes", text: "0", want: "0"},
	{kind: "bytes", text: "1024", want: "1024"},
	{kind: "bytes", text: "-1", want: "-1"},
	{kind: "bytes", text: "1KB", want: "1024"},
	{kind: "bytes", text: "50 mb", want: "52428800"},
	{kind: "bytes", text: "2Gb", want: "2147483648"},
	{kind: "bytes", text: "-2KB", want: "-2048"},
	{kind: "bytes", text: "1K", fault: `not a size in bytes: "1K"; write a whole number, alone or with KB, MB or GB`},
	{kind: "bytes", text: "10B", fault: "not a size"},
	{kind: "bytes", text: "1.5MB", fault: "not a size"},
	{kind: "bytes", text: "MB", fault: "not a size"},
	{kind: "bytes", text: "", fault: "not a size"},
	{kind: "bytes", text: "9007199254740991GB", fault: "not a size", ours: "Python's numbers have no bounds"},

	{kind: "octal", text: "022", want: "18"},
	{kind: "octal", text: "22", want: "18"},
	{kind: "octal", text: "0o22", want: "18"},
	{kind: "octal", text: "0O_2_2", want: "18"},
	{kind: "octal", text: "7777", want: "4095"},
	{kind: "octal", text: "08", fault: `not an octal number: "08"; write digits from 0 to 7`},
	{kind: "octal", text: "rwx", fault: "not an octal number"},
	{kind: "octal", text: "0o", fault: "not an octal number"},
	{kind: "octal", text: "", fault: "not an octal number"},
	{kind: "octal", text: "0o-7", fault: "not an octal number"},
	{kind: "octal", text: "-1", fault: "not an octal number", ours: "a negative mode means nothing"},
	{kind: "octal", text: "10000", fault: "not an octal number", ours: "no mode has more bits"},

	{kind: "signal", text: "TERM", want: "[TERM 15]"},
	{kind: "signal", text: "sigterm", want: "[TERM 15]"},
	{kind: "signal", text: " Hup ", want: "[HUP 1]"},
	{kind: "signal", text: "9", want: "[KILL 9]"},
	{kind: "signal", text: "SIGCLD", want: "[CHLD 17]"},
	{kind: "signal", text: "poll", want: "[IO 29]"},
	{kind: "signal", text: "6", want: "[ABRT 6]"},
	{kind: "signal", text: "RTMIN", want: "[RTMIN 34]"},
	{kind: "signal", text: "64", want: "[RTMAX 64]"},
	{kind: "signal", text: "FOO", fault: `not a signal: "FOO"; write a name such as TERM`},
	{kind: "signal", text: "", fault: "not a signal"},
	{kind: "signal", text: "SIG", fault: "not a signal"},
	{kind: "signal", text: "35", fault: "not a signal"},
	{kind: "signal", text: "-1", fault: "not a signal"},
	{kind: "signal", text: "32", fault: "not a signal"},
	{kind: "signal", text: "0", fault: "not a signal"}, // supervisor takes it for SIG_DFL, which the oracle cannot name
	{kind: "signal", text: "_BLOCK", fault: "not a signal"},

	{kind: "autorestart", text: "true", want: "true"},
	{kind: "autorestart", text: "ON", want: "true"},
	{kind: "autorestart", text: "no", want: "false"},
	{kind: "autorestart", text: "Unexpected", want: "unexpected"},
	{kind: "autorestart", text: "always", fault: `not a restart policy: "always"; write true, false or unexpected`},
	{kind: "autorestart", text: "", fault: "not a restart policy"},

	{kind: "exitcodes", text: "", want: "[]"},
	{kind: "exitcodes", text: "0", want: "[0]"},
	{kind: "exitcodes", text: "0, 2 ,255", want: "[0 2 255]"},
	{kind: "exitcodes", text: "0,", fault: `not a list of exit codes: "0,"; write numbers from 0 to 255`},
	{kind: "exitcodes", text: "256", fault: "not a list of exit codes"},
	{kind: "exitcodes", text: "-1", fault: "not a list of exit codes"},
	{kind: "exitcodes", text: "0 2", fault: "not a list of exit codes"},

	{kind: "level", text: "critical", want: "50"},
	{kind: "level", text: "error", want: "40"},
	{kind: "level", text: "Warn", want: "30"},
	{kind: "level", text: "INFO", want: "20"},
	{kind: "level", text: "debug", want: "10"},
	{kind: "level", text: "trace", want: "5"},
	{kind: "level", text: "blather", want: "3"},
	{kind: "level", text: "warning", fault: `not a log level: "warning"; write one of critical, error, warn, info, debug, trace, blather`},
	{kind: "level", text: "20", fault: "not a log level"},

	{kind: "hostport", text: "9001", want: "[ 9001]"},
	{kind: "hostport", text: ":9001", want: "[ 9001]"},
	{kind: "hostport", text: "*:9001", want: "[ 9001]"},
	{kind: "hostport", text: "LocalHost:1", want: "[localhost 1]"},
	{kind: "hostport", text: "127.0.0.1: 65535", want: "[127.0.0.1 65535]"},
	{kind: "hostport", text: "localhost", fault: `not an address: "localhost"; write a port from 1 to 65535`},
	{kind: "hostport", text: "localhost:", fault: "not an address"},
	{kind: "hostport", text: "h:0", fault: "not an address"},
	{kind: "hostport", text: "h:65536", fault: "not an address"},
	{kind: "hostport", text: "", fault: "not an address"},
	{kind: "hostport", text: "[::1]:9001", want: "[::1 9001]", ours: "supervisor knows no IPv6"},
	{kind: "hostport", text: "::1:9001", fault: "an IPv6 address stands in brackets", ours: "supervisor knows no IPv6"},
	{kind: "hostport", text: "[::1:9001", fault: "an IPv6 address stands in brackets", ours: "supervisor knows no IPv6"},

	{kind: "list", text: "", want: "[]"},
	{kind: "list", text: "a", want: "[a]"},
	{kind: "list", text: " a ,\n b c,", want: "[a b c ]"},
}

// valueKinds turn a text into a value that %v prints like the oracle's.
var valueKinds = map[string]func(string) (any, error){
	"bool":      func(s string) (any, error) { return ParseBool(s) },
	"int":       func(s string) (any, error) { return ParseInt(s) },
	"bytes":     func(s string) (any, error) { return ParseBytes(s) },
	"octal":     func(s string) (any, error) { return ParseOctal(s) },
	"exitcodes": func(s string) (any, error) { return ParseExitCodes(s) },
	"list":      func(s string) (any, error) { return ParseList(s), nil },
	"signal": func(s string) (any, error) {
		signal, err := ParseSignal(s)
		return []any{signal.Name, signal.Number}, err
	},
	"autorestart": func(s string) (any, error) { return ParseAutorestart(s) },
	"level": func(s string) (any, error) {
		level, err := ParseLevel(s)
		return int(level), err
	},
	"hostport": func(s string) (any, error) {
		host, port, err := ParseHostPort(s)
		return []any{host, port}, err
	},
}

func TestValues(t *testing.T) {
	for _, c := range valueCases {
		got, err := valueKinds[c.kind](c.text)
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s %q: %v, %v, want the error %q", c.kind, c.text, got, err, c.fault)
			}
		case err != nil || fmt.Sprint(got) != c.want:
			t.Errorf("%s %q: %v, %v, want %s", c.kind, c.text, got, err, c.want)
		}
	}
}

func TestWordsReadBack(t *testing.T) {
	for _, l := range levels {
		if got, err := ParseLevel(l.level.String()); err != nil || got != l.level {
			t.Errorf("%v reads as %v, %v", l.level, got, err)
		}
		if code := strings.ToUpper(l.name[:3]); l.level.Code()[:3] != code && l.name != "debug" {
			t.Errorf("%v has the code %s", l.level, l.level.Code())
		}
	}
	for _, a := range []Autorestart{RestartUnexpected, RestartAlways, RestartNever} {
		if got, err := ParseAutorestart(a.String()); err != nil || got != a {
			t.Errorf("%v reads as %v, %v", a, got, err)
		}
	}
	for _, s := range signals {
		got, err := ParseSignal(s.Name)
		if err != nil || got.Number != s.Number {
			t.Errorf("%v reads as %v, %v", s, got, err)
		}
		if again, err := ParseSignal(got.Name); err != nil || again != got {
			t.Errorf("%v reads as %v, %v", got, again, err)
		}
	}
	if Level(1).String() != "Level(1)" || Level(1).Code() != "????" || Autorestart(9).String() != "Autorestart(9)" {
		t.Error("unknown values have names")
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0", -1: "-1", 1000: "1000", 1024: "1KB", 50 << 20: "50MB", 3 << 30: "3GB", 1 << 40: "1024GB", -1 << 63: "-8589934592GB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d is written as %s, want %s", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-1<<20, 1<<20).Draw(t, "n") << rapid.IntRange(0, 43).Draw(t, "shift")
		if got, err := ParseBytes(FormatBytes(n)); err != nil || got != n {
			t.Fatalf("%d is written as %s and reads as %d, %v", n, FormatBytes(n), got, err)
		}
	})
}
