package ini

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// isSpace is Python's idea of white space, which has four control characters
// more than Go's.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f)
}

func trim(s string) string { return strings.TrimFunc(s, isSpace) }

// checkEncoding refuses what is not UTF-8, and a byte order mark, which
// supervisor refuses as well but calls a missing section header.
func checkEncoding(name, text string) error {
	problem := func(line int, err error) error {
		return &Error{File: name, Line: line, Err: err}
	}
	switch {
	case strings.HasPrefix(text, "\ufeff"):
		return problem(1, errors.New("the file begins with a byte order mark (BOM); save it as UTF-8 without BOM"))
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return problem(1, errors.New("the file is UTF-16; save it as UTF-8 without BOM"))
	case utf8.ValidString(text):
		return nil
	}
	line := 1
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && size == 1 {
			return problem(line, fmt.Errorf("byte %#x is not UTF-8; save the file as UTF-8", rest[0]))
		}
		if r == '\n' {
			line++
		}
		rest = rest[size:]
	}
	return nil
}
