package ini

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// format returns value as the directive asks for it.
func (d directive) format(value any) (string, error) {
	if d.verb == '%' {
		return "%", nil
	}
	switch v := value.(type) {
	case string:
		return d.formatString(v)
	case int:
		return d.formatInt(v)
	}
	return "", fmt.Errorf("%s is a %T; only strings and integers can be expanded", d.name, value)
}

func (d directive) formatString(s string) (string, error) {
	switch d.verb {
	case 's':
		return d.padText(d.cut(s)), nil
	case 'r':
		return d.padText(d.cut(quotePython(s, false))), nil
	case 'a':
		return d.padText(d.cut(quotePython(s, true))), nil
	case 'c':
		if utf8.RuneCountInString(s) == 1 {
			return d.padText(s), nil
		}
		return "", fmt.Errorf("%q needs a single character, but %s is %q; write %%(%s)s", d.text, d.name, s, d.name)
	}
	return "", fmt.Errorf("%q needs a number, but %s is text; write %%(%s)s", d.text, d.name, d.name)
}

func (d directive) formatInt(n int) (string, error) {
	switch d.verb {
	case 's', 'r', 'a':
		return d.padText(d.cut(strconv.Itoa(n))), nil
	case 'c':
		if n < 0 || n > unicode.MaxRune || (n >= 0xd800 && n <= 0xdfff) {
			return "", fmt.Errorf("%q: %d is not a character", d.text, n)
		}
		return d.padText(string(rune(n))), nil
	case 'o':
		return d.padNumber(n < 0, d.prefix("0o"), d.digits(n, 8)), nil
	case 'x':
		return d.padNumber(n < 0, d.prefix("0x"), d.digits(n, 16)), nil
	case 'X':
		return d.padNumber(n < 0, d.prefix("0X"), strings.ToUpper(d.digits(n, 16))), nil
	case 'd', 'i', 'u':
		return d.padNumber(n < 0, "", d.digits(n, 10)), nil
	}
	return d.padNumber(n < 0, "", d.float(n)), nil
}

// cut shortens s to the precision, counted in characters.
func (d directive) cut(s string) string {
	if d.precision < 0 {
		return s
	}
	count := 0
	for i := range s {
		if count == d.precision {
			return s[:i]
		}
		count++
	}
	return s
}

func (d directive) prefix(p string) string {
	if d.alternate {
		return p
	}
	return ""
}

// digits returns n without its sign, with zeros up to the precision.
func (d directive) digits(n, base int) string {
	s := strings.TrimPrefix(strconv.FormatInt(int64(n), base), "-")
	return strings.Repeat("0", max(0, d.precision-len(s))) + s
}

// float returns n without its sign in the form of C's printf, which is what fmt
// prints too once it is given a precision.
func (d directive) float(n int) string {
	verb := "%." + strconv.Itoa(d.floatPrecision()) + string(d.verb)
	if d.alternate {
		verb = "%#" + verb[1:]
	}
	return strings.TrimPrefix(fmt.Sprintf(verb, float64(n)), "-")
}

func (d directive) floatPrecision() int {
	if d.precision < 0 {
		return 6
	}
	return d.precision
}

// padNumber puts sign, prefix and digits together; zeros stand between prefix
// and digits, blanks outside.
func (d directive) padNumber(negative bool, prefix, digits string) string {
	sign := ""
	switch {
	case negative:
		sign = "-"
	case d.plus:
		sign = "+"
	case d.blank:
		sign = " "
	}
	if d.zero && !d.left {
		digits = strings.Repeat("0", max(0, d.width-len(sign+prefix+digits))) + digits
	}
	return d.padText(sign + prefix + digits)
}

func (d directive) padText(s string) string {
	blanks := strings.Repeat(" ", max(0, d.width-utf8.RuneCountInString(s)))
	if d.left {
		return s + blanks
	}
	return blanks + s
}

// quotePython returns s as Python's repr, or its ascii, writes it.
func quotePython(s string, ascii bool) string {
	quote := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	var b strings.Builder
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r) && (r < 0x80 || !ascii):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteRune(quote)
	return b.String()
}
