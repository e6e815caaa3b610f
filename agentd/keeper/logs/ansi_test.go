package logs

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEscapeSequencesAreTakenOutAndNothingElse(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no sequence", "plain text\n", "plain text\n"},
		{"colours", "\x1b[1;31merror\x1b[0m: \x1b[mx\n", "error: x\n"},
		{"the cursor", "\x1b[2J\x1b[Hloading\x1b[12;40f\x1b[K done\x1b[?25h\n", "loading done\n"},
		{"endings that supervisor does not know", "\x1b[2Ghello\x1b[1;5r \x1b[3@world\x1b[1X\n", "hello world\n"},
		{"intermediate bytes", "\x1b[4 qx", "x"},
		{"other escapes stay", "\x1b(Bx\x1b]0;title\ay\x1bz", "\x1b(Bx\x1b]0;title\ay\x1bz"},
		{"one that is broken off stays", "\x1b[12\nnext\x1b[\x1b[31mred", "\x1b[12\nnext\x1b[red"},
		{"one that never ends stays", "\x1b[" + strings.Repeat("1;", 500) + "m", "\x1b[" + strings.Repeat("1;", 500) + "m"},
		{"one that has not ended yet stays", "x\x1b[3", "x\x1b[3"},
		{"a lone escape", "x\x1b", "x\x1b"},
		{"not UTF-8", "\xff\x1b[31m\xfe\x00", "\xff\xfe\x00"},
		{"nothing", "", ""},
	} {
		var s stripper
		got := append(bytes.Clone(s.strip([]byte(c.in))), s.rest()...)
		if string(got) != c.want {
			t.Errorf("%s: %q becomes %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestASequenceIsFoundHoweverTheOutputIsCutIntoReads(t *testing.T) {
	piece := rapid.SampledFrom([]string{"\x1b", "[", "\x1b[", "m", "31", ";", "?", " ", "H", "text", "\n", "\xff", "~", strings.Repeat("7", 150)})
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "text"), ""))
		var whole, cut stripper
		want := append(bytes.Clone(whole.strip(bytes.Clone(text))), whole.rest()...)
		var got []byte
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			got = append(got, cut.strip(bytes.Clone(rest[:n]))...)
			rest = rest[n:]
		}
		got = append(got, cut.rest()...)
		if !bytes.Equal(got, want) {
			t.Fatalf("%q cut becomes %q, whole %q", text, got, want)
		}
	})
}

func TestStripANSIReachesTheFileOverTwoReadsAndToTheLastByte(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out.log")
	w := attach(t, c, Sink{Process: "p", Path: path, StripANSI: true})
	for _, part := range []string{"\x1b[3", "1mred\x1b", "[0m\nplain\x1b[1"} {
		write(t, w, []byte(part))
		flush(t, c)
	}
	wantSame(t, whole(t, path), []byte("red\nplain"))
	w.Close()
	eventually(t, "what only looked like a sequence is there at the end", func() bool {
		return string(whole(t, path)) == "red\nplain\x1b[1"
	})
	w = attach(t, c, Sink{Process: "p", Path: path})
	write(t, w, []byte("\x1b[31mkept\n"))
	flush(t, c)
	c.Update(Sink{Process: "p", Channel: "stdout", Path: path, StripANSI: true})
	flush(t, c) // what is read from now on goes the new way
	write(t, w, []byte("\x1b[31mgone\n"))
	flush(t, c)
	wantSame(t, whole(t, path), []byte("red\nplain\x1b[1\x1b[31mkept\ngone\n"))
}
