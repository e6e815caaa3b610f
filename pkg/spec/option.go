package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// An option is a key of a section that is no program's, or one that only some kinds of programs have.
type option struct {
	name     string
	form     string // the accepted form, for people
	required bool
	set      func(text string) error
}

func optionNames(list []option) []string {
	var out []string
	for _, o := range list {
		out = append(out, o.name)
	}
	return out
}

// options reads the listed keys of a section. more are names that its values may use besides those of the
// file; tell is called with each problem.
func (r *reader) options(s *ini.Section, list []option, more ini.Vars, tell func(key string, err error)) {
	for _, o := range list {
		v, ok := s.Get(o.name)
		if !ok {
			if o.required {
				tell("", fmt.Errorf("%s is missing; write %s = %s", o.name, o.name, o.form))
			}
			continue
		}
		text, err := r.sectionValue(v, more)
		if err == nil {
			err = withForm(o.set(text), o.form)
		}
		if err != nil {
			tell(o.name, err)
		}
	}
}

// sectionValue expands the value of a section that knows no program.
func (r *reader) sectionValue(v ini.Value, more ini.Vars) (string, error) {
	vars := maps.Clone(r.vars)
	for _, name := range []string{"host_node_name", "program_name", "group_name"} {
		delete(vars, name)
	}
	vars["here"] = directory(v)
	maps.Copy(vars, more)
	text, err := ini.Expand(v.Text, vars)
	var unknown *ini.UnknownNameError
	if !errors.As(err, &unknown) {
		return text, err
	}
	if variable, isEnv := strings.CutPrefix(unknown.Name, "ENV_"); isEnv {
		return "", fmt.Errorf("%q needs the environment variable %s here, where the file is read, and it is not set", v.Text, variable)
	}
	known := append([]string{"here"}, sortedKeys(more)...)
	return "", fmt.Errorf("%q uses the name %q, which is not known; there are %s and ENV_X for each variable X",
		v.Text, unknown.Name, strings.Join(known, ", "))
}

// unknownOptions tells of a section's own keys that are not among known.
func (r *reader) unknownOptions(s *ini.Section, known []string) {
	for _, key := range s.Keys() {
		if !s.Inherits(key) && !slices.Contains(known, key) {
			r.unknown(s, key, "%s", unknownText(key, known))
		}
	}
}

// failAt is the usual way to tell of a problem.
func (r *reader) failAt(s *ini.Section) func(string, error) {
	return func(key string, err error) { r.fail(s, key, err) }
}

// into makes the set of an option whose value has a parser.
func into[T any](field *T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		if err == nil {
			*field = v
		}
		return err
	}
}

// anyString is the parser of an option that may be any text.
func anyString(s string) (string, error) { return s, nil }

// parseOwner reads user or user:group. Whether there are such ones is found out on the machine.
func parseOwner(s string) (string, error) {
	user, group, both := strings.Cut(s, ":")
	if strings.TrimSpace(user) == "" || both && strings.TrimSpace(group) == "" {
		return "", fmt.Errorf("not an owner: %q; write user or user:group", s)
	}
	return s, nil
}

// parseMode reads the mode of a file; supervisor's octal numbers are the same as a umask's.
func parseMode(s string) (int, error) { return ini.ParseOctal(s) }
