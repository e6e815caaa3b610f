package spec

import (
	"errors"
	"fmt"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// A Key describes one key of a [program:x] section: how it is read, written, compared and
// documented. All of that stands in the table of them (table.go), for every key.
type Key struct {
	Name     string
	Aliases  []string // other spellings that are read, and never written
	Default  string   // as it would be written; "" is unset
	Form     string   // the accepted form, for people
	Doc      string   // one sentence
	Required bool
	// Ours: distsuper's own key, which supervisor does not know.
	Ours bool
	// Template: names that depend on the process or the machine stay in the value. In any other
	// key everything is expanded when the file is read.
	Template bool
	// Restarts: the process sees the value, so that a change of it restarts the process.
	Restarts bool
	// NoEffect: supervisor knows the key; here its value is checked, and does nothing. One with a default
	// is kept in the program all the same.
	NoEffect bool

	// unset: an empty value is read as if the key were not there, with a warning.
	unset bool
	// inLoop: supervisor reads the key once for each process, so that it knows numprocs and the
	// variables of the program's own environment.
	inLoop bool
	value
}

// A value moves one key between its text and its place in a program. set reads the text, or says in
// an error what is accepted; ranges are Validate's. get returns what set would read as the same.
type value struct {
	set func(p *api.Program, text string) error
	get func(p api.Program) (string, error)
}

// Keys returns the keys of [program:x] in the order in which they are documented.
func Keys() []Key { return slices.Clone(table) }

// names returns all spellings of all keys.
func names() []string {
	var all []string
	for _, k := range table {
		all = append(append(all, k.Name), k.Aliases...)
	}
	return all
}

// text is for a key whose value is any text.
func text(field func(*api.Program) *string) value {
	return value{
		set: func(p *api.Program, s string) error { *field(p) = s; return nil },
		get: func(p api.Program) (string, error) { return *field(&p), nil },
	}
}

// parsed is for a key whose value has one parser and one printer.
func parsed[T any](field func(*api.Program) *T, parse func(string) (T, error), format func(T) string) value {
	return value{
		set: func(p *api.Program, s string) error {
			v, err := parse(s)
			if err == nil {
				*field(p) = v
			}
			return err
		},
		get: func(p api.Program) (string, error) { return format(*field(&p)), nil },
	}
}

// ignored is for a key without effect: the value is checked, and kept nowhere. idle says whether
// the value asks for nothing, and so needs no warning.
func ignored[T comparable](parse func(string) (T, error), idle T) value {
	return value{
		set: func(_ *api.Program, s string) error {
			v, err := parse(s)
			if err == nil && v != idle {
				return errNoEffect
			}
			return err
		},
		get: func(api.Program) (string, error) { return "", nil },
	}
}

// environment reads and writes templates: what stands in the map is what ini.ParseEnvironmentTemplate
// returns, but the names, which Read expands.
var environment = value{
	set: func(p *api.Program, s string) error {
		if _, err := ini.References(s); err != nil {
			return errors.New("a value is wrong: " + withoutText(err))
		}
		e, err := ini.ParseEnvironmentTemplate(s)
		if err == nil {
			p.Environment = e.Map()
		}
		return withoutPrefix(err)
	},
	get: func(p api.Program) (string, error) {
		var e ini.Environment
		for _, name := range sortedKeys(p.Environment) {
			e = append(e, ini.Variable{Name: ini.EscapePercent(name), Value: p.Environment[name]})
		}
		return ini.FormatEnvironment(e)
	},
}

// withoutPrefix takes off what ini says of the key, since the place says it already, and adds what most
// people who forget a quote have run into.
func withoutPrefix(err error) error {
	if of := new(ini.EnvironmentError); errors.As(err, &of) {
		err = of.Err
	}
	if errors.Is(err, ini.ErrNoClosingQuotation) {
		err = fmt.Errorf("%w (white space and then ; or # begins a comment, within quotes too)", err)
	}
	return err
}
