package visible

import (
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestWhatDoesSomethingIsShown(t *testing.T) {
	for _, c := range []struct{ text, line, many string }{
		{"plain: ein Zug, 電車", "plain: ein Zug, 電車", "plain: ein Zug, 電車"},
		{"\x1b]0;owned\x07", `\x1b]0;owned\x07`, `\x1b]0;owned\x07`},
		{"a\u202etxt.exe", `a\u202etxt.exe`, `a\u202etxt.exe`},
		{"\u2066x\u2069", `\u2066x\u2069`, `\u2066x\u2069`},
		{"two\nlines\t.", `two\nlines\x09.`, "two\nlines\t."},
		{"C1 \u009b31m, \x7f", `C1 \x9b31m, \x7f`, `C1 \x9b31m, \x7f`},
		{"no UTF-8 \xff\xfe", `no UTF-8 \xff\xfe`, `no UTF-8 \xff\xfe`},
		{"the sign \ufffd itself", "the sign \ufffd itself", "the sign \ufffd itself"},
	} {
		if got := Line(c.text); got != c.line {
			t.Errorf("Line(%q) = %q, want %q", c.text, got, c.line)
		}
		if got := Text(c.text); got != c.many {
			t.Errorf("Text(%q) = %q, want %q", c.text, got, c.many)
		}
	}
}

func TestNothingHiddenIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range Line(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))) {
			if unicode.IsControl(r) || Bidi(r) {
				t.Fatalf("%U is left", r)
			}
		}
	})
}
