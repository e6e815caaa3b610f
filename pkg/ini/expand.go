package ini

import (
	"fmt"
	"slices"
	"strings"
)

// Vars are the names that a template may use. A value is a string or an int.
type Vars map[string]any

// An UnknownNameError says that a template uses a name which has no value.
type UnknownNameError struct {
	Template  string
	Name      string
	Available []string // sorted
}

func (e *UnknownNameError) Error() string {
	return fmt.Sprintf("%q uses the name %q, which cannot be expanded here; available names: %s",
		e.Template, e.Name, strings.Join(e.Available, ", "))
}

// Expand replaces each %(name)s of the template as Python's % operator does with
// a dictionary; %% stands for a percent sign. All conversions, flags, widths and
// precisions of Python work, as in %(process_num)02d. An unknown name is an
// *UnknownNameError.
//
// A conversion without a name is an error: Python would print the whole
// dictionary there, which in supervisor is the daemon's environment.
func Expand(template string, vars Vars) (string, error) {
	return expand(template, vars, nil, func(s string) string { return s })
}

// ExpandKnown expands the names in vars and leaves references to other names for
// which deferred returns true as they are, so that a later Expand with the
// missing names returns what one Expand with all names would. The result is
// therefore a template: %% stays, and the percent signs of inserted values are
// doubled. A name that is neither known nor deferred is an *UnknownNameError.
func ExpandKnown(template string, vars Vars, deferred func(name string) bool) (string, error) {
	return expand(template, vars, deferred, EscapePercent)
}

// EscapePercent returns the template that Expand turns into s.
func EscapePercent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// References returns the names that the template uses, each once, in the order
// in which they first appear.
func References(template string) ([]string, error) {
	var names []string
	err := walk(template, func(string) {}, func(d directive) error {
		if d.named && !slices.Contains(names, d.name) {
			names = append(names, d.name)
		}
		return nil
	})
	return names, err
}

// expand writes the template with each directive replaced. escape is applied to
// what is inserted.
func expand(template string, vars Vars, deferred func(string) bool, escape func(string) string) (string, error) {
	var b strings.Builder
	literal := func(text string) { b.WriteString(text) }
	err := walk(template, literal, func(d directive) error {
		var value any
		if d.named {
			var known bool
			value, known = vars[d.name]
			if !known && deferred != nil && deferred(d.name) {
				b.WriteString(d.text)
				return nil
			}
			if !known {
				return &UnknownNameError{Template: template, Name: d.name, Available: sortedNames(vars)}
			}
		}
		text, err := d.format(value)
		if err != nil {
			return fmt.Errorf("%q is badly formatted: %w", template, err)
		}
		b.WriteString(escape(text))
		return nil
	})
	if err != nil {
		return "", err
	}
	return b.String(), nil
}

// walk hands the literal texts and the directives of a template on, in order.
func walk(template string, literal func(string), visit func(directive) error) error {
	for rest := template; rest != ""; {
		percent := strings.IndexByte(rest, '%')
		if percent < 0 {
			literal(rest)
			return nil
		}
		if percent > 0 {
			literal(rest[:percent])
		}
		d, err := parseDirective(rest[percent:])
		if err != nil {
			return fmt.Errorf("%q is badly formatted: %w", template, err)
		}
		if err := visit(d); err != nil {
			return err
		}
		rest = rest[percent+len(d.text):]
	}
	return nil
}

func sortedNames(vars Vars) []string {
	names := make([]string, 0, len(vars))
	for name := range vars {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
