package ini

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// FormatCommand returns a command that Split splits like the given one, and
// which an option can hold: no comment begins in it, and the reader's trimming of
// its lines takes nothing away. It is the same text where that is so already. A
// carriage return cannot be written and is an error.
//
// Where a quoted text would suffer, its quotes are closed and opened again:
//
//	'a ;b'  becomes  'a '';b'
func FormatCommand(command string) (string, error) {
	if strings.Contains(command, "\r") {
		return "", errors.New("a configuration file cannot hold a carriage return")
	}
	var w commandWriter
	for _, a := range atomsOf(command) {
		w.write(a.text)
	}
	w.guardEnd()
	return w.text.String(), nil
}

// A commandWriter follows the quotes of a command as it copies it.
type commandWriter struct {
	text    strings.Builder
	gap     string // white space between words that is not written yet
	quote   string // the open one, or empty
	escaped bool   // the last character was a backslash that escapes
}

func (w *commandWriter) write(c string) {
	escaped := w.escaped
	w.escaped = false
	if w.quote == "" && !escaped && strings.Contains(" \t\n", c) {
		w.gap += c
		return
	}
	w.closeGap(c)
	switch {
	case c == "\n":
		w.newline(escaped)
		return
	case escaped:
		// whatever it is, it is no quote
	case c == `\`:
		w.escaped = w.quote != "'"
	case c == w.quote:
		w.quote = ""
	case w.quote == "" && (c == `"` || c == "'"):
		w.quote = c
	case c == ";" || c == "#":
		w.guardEnd()
	}
	w.text.WriteString(c)
}

// closeGap writes the white space before the word that c begins. Of a gap that
// has line breaks only these are kept, and words at both sides are guarded, since
// they may begin or end with characters that are white space to the reader only.
func (w *commandWriter) closeGap(c string) {
	breaks := strings.Count(w.gap, "\n")
	if breaks == 0 && w.text.Len() > 0 {
		w.text.WriteString(w.gap)
		w.gap = ""
		return
	}
	if w.text.Len() > 0 {
		w.guardEnd()
		w.text.WriteString(strings.Repeat("\n", breaks))
	}
	if r, _ := utf8.DecodeRuneInString(c); isSpace(r) {
		w.text.WriteString(w.seam())
	}
	w.gap = ""
}

// newline writes a line break that belongs to a word.
func (w *commandWriter) newline(escaped bool) {
	if w.quote != "" {
		if escaped {
			w.text.WriteString(`\`) // before a line break it does not escape
		}
		w.text.WriteString(w.seam())
	}
	w.text.WriteString("\n" + w.seam())
}

// guardEnd keeps white space at the end of what is written from being trimmed,
// and from beginning a comment.
func (w *commandWriter) guardEnd() {
	if r, _ := utf8.DecodeLastRuneInString(w.text.String()); isSpace(r) {
		w.text.WriteString(w.seam())
	}
}

// seam returns quotes that add nothing to the word at this place.
func (w *commandWriter) seam() string {
	if w.quote == "" {
		return `""`
	}
	return w.quote + w.quote
}
