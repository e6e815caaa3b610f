// Package visible shows text that comes from elsewhere so that it can do nothing to a terminal or to a reader's eye.
//
// Names, labels, addresses and reasons stand in etcd, where others may have written them: an escape sequence in one would move
// the cursor, set the window's title or hide what follows, and a bidirectional control character would show "evil" as
// something else. Both are shown as what they are.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is text for one line: control characters, line ends among them, and bidirectional controls are written as \x1b or
// \u202e. What is no UTF-8 is written byte by byte.
func Line(text string) string { return show(text, "") }

// Text is Line for what may have several lines and tabs.
func Text(text string) string { return show(text, "\n\t") }

func show(text, keep string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return hidden(r) || r == utf8.RuneError }) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case !hidden(r), strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		text = text[size:]
	}
	return b.String()
}

// hidden reports whether a character does something instead of being seen.
func hidden(r rune) bool { return unicode.IsControl(r) || Bidi(r) }

// Bidi reports whether a character changes the direction of the text around it (Unicode Standard Annex 9).
func Bidi(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }
