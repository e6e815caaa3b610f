package ini

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Variable is one of an environment.
type Variable struct {
	Name  string
	Value string
}

// An Environment lists variables in the order in which their names first appear.
// No name appears twice.
type Environment []Variable

// Map returns the values by name.
func (e Environment) Map() map[string]string {
	m := make(map[string]string, len(e))
	for _, v := range e {
		m[v.Name] = v.Value
	}
	return m
}

// ParseEnvironmentTemplate reads NAME=value,NAME2="another value". Letters, digits and
// the characters _ / . + - ( ) : need no quotes, nor does a value of one other
// character, such as *, unless it is one of , ; = and #. All else does. Backslashes
// work as in Split. A comma separates variables (a semicolon does too, as in
// supervisor), and one may stand at the end. A name given twice has its last
// value.
//
// References are not yet expanded: names and values of the result are templates. A reference and a %%
// need no quotes, and whatever a reference will stand for becomes part of the one
// value, whereas supervisor expands first and then reads the outcome.
//
// Supervisor cuts an unquoted value at other characters (A=a b gives "a") or
// takes what follows for another variable (A=x?b=1). Here that is an error.
func ParseEnvironmentTemplate(template string) (Environment, error) {
	var atoms []atom
	err := walk(template, func(literal string) {
		atoms = append(atoms, atomsOf(literal)...)
	}, func(d directive) error {
		atoms = append(atoms, atom{text: d.text, reference: true})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return parseEnvironment(atoms)
}

// EnvironmentError is what is wrong with the text of an environment.
type EnvironmentError struct{ Err error }

func (e *EnvironmentError) Error() string { return "environment: " + e.Err.Error() }

// Unwrap returns the problem without saying what it is a problem of.
func (e *EnvironmentError) Unwrap() error { return e.Err }

// parseEnvironment reads what has been taken apart into atoms; a text without references is atomsOf(text).
func parseEnvironment(atoms []atom) (Environment, error) {
	p := environmentParser{lexer: lexer{atoms: atoms, bare: isBareInEnvironment}}
	var e Environment
	for {
		v, ok, err := p.variable()
		if err != nil {
			return nil, &EnvironmentError{err}
		}
		if !ok {
			return e, nil
		}
		e = e.with(v)
	}
}

// with returns the environment with v set, in its old place if it had one.
func (e Environment) with(v Variable) Environment {
	for i := range e {
		if e[i].Name == v.Name {
			e[i].Value = v.Value
			return e
		}
	}
	return append(e, v)
}

// isBareInEnvironment knows the word characters of Python's shlex, which has the
// letters of Latin-1 among them, and those that supervisor adds.
func isBareInEnvironment(a atom) bool {
	if a.reference {
		return true
	}
	r, _ := utf8.DecodeRuneInString(a.text)
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	case r >= 0xc0 && r <= 0xff:
		return r != 0xd7 && r != 0xf7 // the signs of multiplication and division
	}
	return strings.ContainsRune("_/.+-():", r)
}

type environmentParser struct {
	lexer lexer
	last  string // the name read before, for messages
}

// variable reads NAME=value and the separator after it.
func (p *environmentParser) variable() (v Variable, ok bool, err error) {
	name, ok, err := p.lexer.next()
	if err != nil || !ok {
		return v, false, err
	}
	if err := p.checkName(name); err != nil {
		return v, false, err
	}
	equals, ok, err := p.lexer.next()
	if err != nil {
		return v, false, err
	}
	if !ok || equals.raw != "=" {
		return v, false, p.noValue(name.raw)
	}
	value, err := p.value(name.text)
	if err != nil {
		return v, false, err
	}
	p.last = name.text
	return Variable{Name: name.text, Value: value}, true, p.separator()
}

func (p *environmentParser) checkName(t token) error {
	switch {
	case !t.word:
		return fmt.Errorf("found %s where a name was expected; write NAME=\"value\",NAME2=\"value\"", t.raw)
	case t.text == "":
		return errors.New("a name is empty; write NAME=\"value\"")
	case strings.ContainsAny(t.text, "=\x00"):
		return fmt.Errorf("the name %q may hold no equals sign and no NUL", t.text)
	}
	return nil
}

// noValue is about a word that no equals sign follows. After another variable it
// is more likely to be the rest of that one's value.
func (p *environmentParser) noValue(name string) error {
	if p.last == "" {
		return fmt.Errorf("no = after %s; write %s=\"value\"", name, name)
	}
	return fmt.Errorf("no = after %s; write %s=\"value\", or quote the value of %s if this belongs to it", name, name, p.last)
}

func (p *environmentParser) value(name string) (string, error) {
	t, ok, err := p.lexer.next()
	switch {
	case err != nil:
		return "", fmt.Errorf("value of %s: %w", name, err)
	case !ok:
		return "", fmt.Errorf("%s has no value; write %s=\"\" if it is to be empty", name, name)
	case !t.word && strings.Contains(",;=#", t.text):
		return "", fmt.Errorf("%s has no value before the character %s; write %s=\"\" if it is to be empty, and quote a value that holds %s", name, t.text, name, t.text)
	case strings.Contains(t.text, "\x00"):
		return "", fmt.Errorf("the value of %s may hold no NUL", name)
	}
	return t.text, nil
}

// separator reads what stands between variables.
func (p *environmentParser) separator() error {
	t, ok, err := p.lexer.next()
	switch {
	case err != nil:
		return err
	case !ok, !t.word && (t.text == "," || t.text == ";"):
		return nil
	}
	// The value itself stays out of the message: it may be a password.
	return fmt.Errorf("found %s after the value of %s; quote the whole value, as in %s=\"...\", or separate variables by commas",
		t.raw, p.last, p.last)
}
