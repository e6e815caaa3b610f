package ini

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxWidth bounds the width and the precision of a directive. Python takes any,
// and dies of memory exhaustion on some.
const maxWidth = 10000

// A directive is one conversion of a template, such as %(process_num)02d or %%.
type directive struct {
	text  string // as it is written
	name  string
	named bool

	left, plus, blank, alternate, zero bool // the flags - + space # 0

	width     int
	precision int // -1 when there is none
	verb      rune
}

// parseDirective reads the directive at the start of s, which is a percent sign.
func parseDirective(s string) (directive, error) {
	d := directive{precision: -1}
	rest := s[1:]
	if strings.HasPrefix(rest, "(") {
		end := closingParenthesis(rest)
		if end < 0 {
			return d, fmt.Errorf("%q lacks a closing parenthesis; write %%(name)s", s)
		}
		d.name, d.named, rest = rest[1:end], true, rest[end+1:]
	}
	rest, err := d.readSize(d.readFlags(rest))
	if err != nil && d.named {
		return d, err
	}
	if rest != "" && strings.IndexByte("hlL", rest[0]) >= 0 {
		rest = rest[1:] // C's length modifiers mean nothing
	}
	verb, size := utf8.DecodeRuneInString(rest)
	d.verb = verb
	d.text = s[:len(s)-len(rest)+size]
	return d, d.check(size == 0)
}

// check tells what is wrong with a directive that was read to its end, or to the
// end of the template when cut is true.
func (d directive) check(cut bool) error {
	switch {
	case d.named && cut:
		return fmt.Errorf("%q ends before its conversion; write %%(%s)s", d.text, d.name)
	case d.named && !strings.ContainsRune("sracdiuoxXeEfFgG", d.verb):
		return fmt.Errorf("%q has the unknown conversion %q; write %%(%s)s", d.text, d.verb, d.name)
	case !d.named && d.text != "%%":
		return fmt.Errorf("%q names no variable; write %%(name)s, or %s for a percent sign", d.text, EscapePercent(d.text))
	}
	return nil
}

// closingParenthesis returns the index of the parenthesis that closes the one
// which s begins with, or -1. Names may hold pairs of parentheses.
func closingParenthesis(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

func (d *directive) readFlags(s string) string {
	for ; s != ""; s = s[1:] {
		switch s[0] {
		case '-':
			d.left = true
		case '+':
			d.plus = true
		case ' ':
			d.blank = true
		case '#':
			d.alternate = true
		case '0':
			d.zero = true
		default:
			return s
		}
	}
	return s
}

// readSize reads the width and the precision at the start of s, if any.
func (d *directive) readSize(s string) (rest string, err error) {
	if s, err = readNumber(s, &d.width); err != nil {
		return s, err
	}
	after, ok := strings.CutPrefix(s, ".")
	if !ok {
		return s, nil
	}
	d.precision = 0
	return readNumber(after, &d.precision)
}

// readNumber reads the digits at the start of s, if any, into n.
func readNumber(s string, n *int) (rest string, err error) {
	if strings.HasPrefix(s, "*") {
		return s, errors.New("a width of * needs a value that a named conversion does not have")
	}
	for ; s != "" && s[0] >= '0' && s[0] <= '9'; s = s[1:] {
		if *n = *n*10 + int(s[0]-'0'); *n > maxWidth {
			return s, fmt.Errorf("width or precision above %d", maxWidth)
		}
	}
	return s, nil
}
