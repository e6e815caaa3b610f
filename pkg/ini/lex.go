package ini

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// The errors of Python's shlex, in its words. ErrNoClosingQuotation is for those who know why that happens so often.
var (
	ErrNoClosingQuotation = errors.New("No closing quotation") //lint:ignore ST1005 shlex says it so
	errNoEscapedCharacter = errors.New("No escaped character") //lint:ignore ST1005 shlex says it so
)

// An atom is what a lexer sees as one: a character, or a whole reference of a
// template, which is never a quote or white space whatever its name holds.
type atom struct {
	text      string
	reference bool
}

func (a atom) isSpace() bool { return a.isOneOf(" \t\r\n") }

// isOneOf reports whether a is a character among chars; a reference is longer.
func (a atom) isOneOf(chars string) bool {
	return strings.Contains(chars, a.text)
}

// atomsOf splits a text into its characters.
func atomsOf(text string) []atom {
	atoms := make([]atom, 0, len(text))
	for text != "" {
		_, size := utf8.DecodeRuneInString(text)
		atoms = append(atoms, atom{text: text[:size]})
		text = text[size:]
	}
	return atoms
}

// A lexer reads tokens as Python's shlex does in POSIX mode: quotes of both
// kinds, and a backslash outside single quotes. Within double quotes it escapes
// only the quote and itself.
type lexer struct {
	atoms []atom
	at    int
	bare  func(atom) bool // may it stand in a word without quotes?
}

// A token is a word, or a single character that may not stand in one.
type token struct {
	text string
	word bool
	raw  string // as it is written
}

// next returns the next token; ok is false at the end.
func (l *lexer) next() (t token, ok bool, err error) {
	for l.at < len(l.atoms) && l.atoms[l.at].isSpace() {
		l.at++
	}
	if l.at == len(l.atoms) {
		return token{}, false, nil
	}
	begin := l.at
	text, err := l.word()
	if err != nil {
		return token{}, false, err
	}
	word := l.at > begin
	if !word {
		text = l.atoms[l.at].text
		l.at++
	}
	return token{text: text, word: word, raw: join(l.atoms[begin:l.at])}, true, nil
}

// word reads up to the first atom that may not stand in a word.
func (l *lexer) word() (string, error) {
	var b strings.Builder
	for l.at < len(l.atoms) {
		a := l.atoms[l.at]
		switch {
		case a.isOneOf(`'"`):
			l.at++
			if err := l.quoted(&b, a.text); err != nil {
				return "", err
			}
			continue
		case a.isOneOf(`\`):
			l.at++
			if l.at == len(l.atoms) {
				return "", errNoEscapedCharacter
			}
		case a.isSpace() || !l.bare(a):
			return b.String(), nil
		}
		b.WriteString(l.atoms[l.at].text)
		l.at++
	}
	return b.String(), nil
}

// quoted reads what follows an opening quote, and the closing one.
func (l *lexer) quoted(b *strings.Builder, quote string) error {
	for ; l.at < len(l.atoms); l.at++ {
		a := l.atoms[l.at]
		switch {
		case a.isOneOf(quote):
			l.at++
			return nil
		case a.isOneOf(`\`) && quote == `"`:
			l.at++
			if l.at == len(l.atoms) {
				return errNoEscapedCharacter
			}
			if !l.atoms[l.at].isOneOf(`\"`) {
				b.WriteString(`\`)
			}
		}
		b.WriteString(l.atoms[l.at].text)
	}
	return ErrNoClosingQuotation
}

func join(atoms []atom) string {
	var b strings.Builder
	for _, a := range atoms {
		b.WriteString(a.text)
	}
	return b.String()
}
