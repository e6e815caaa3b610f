package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// expand does what is done with a value's names when the file is read: in a template only here is
// replaced, in process_name also what depends on the environment, in any other key everything.
func (r *programReader) expand(k Key, name string, v ini.Value) (string, error) {
	switch {
	case !strings.Contains(v.Text, "%"), k.Name == "environment":
		return v.Text, nil
	case k.Template:
		return r.here(v.Text, v)
	}
	vars := r.varsOf(k, v)
	var out string
	var err error
	if k.Name == "process_name" {
		out, err = r.processName(v.Text, vars)
	} else {
		out, err = ini.Expand(v.Text, vars)
	}
	var unknown *ini.UnknownNameError
	if errors.As(err, &unknown) {
		return "", r.unknownName(k, v.Text, unknown.Name)
	}
	if err == nil && usesMachine(v.Text) {
		r.note(r.section, name, "%q depends on the machine; it is expanded here and now, to %q", v.Text, out)
	}
	return out, err
}

// here replaces %(here)s in its unusual spellings too, as %(here).0s: ini.Load has done the usual one.
func (r *programReader) here(template string, v ini.Value) (string, error) {
	other := func(name string) bool { return onMachine(name) || slices.Contains(perProcess, name) }
	out, err := ini.ExpandKnown(template, ini.Vars{"here": directory(v)}, other)
	var unknown *ini.UnknownNameError
	if errors.As(err, &unknown) {
		return "", &nameError{template, unknown.Name}
	}
	return out, err
}

// varsOf returns the names that a key may use.
func (r *programReader) varsOf(k Key, v ini.Value) ini.Vars {
	vars := r.vars
	vars["here"], vars["program_name"] = directory(v), r.program.Name
	delete(vars, "group_name")
	switch groups := r.program.Groups; len(groups) {
	case 0:
		vars["group_name"] = r.program.Name
	case 1:
		vars["group_name"] = groups[0].Name
	}
	if !k.inLoop {
		return vars
	}
	own := ini.Vars{"numprocs": r.program.Numprocs}
	for name, value := range vars {
		own[name] = value
	}
	for name, template := range r.program.Environment {
		if value, err := ini.Expand(template, vars); err == nil {
			own["ENV_"+name] = value
		}
	}
	return own
}

// processName leaves the names of the process in the template, for Processes. A variable of the
// program's own environment that depends on them stands in the template as what it is made of.
func (r *programReader) processName(template string, vars ini.Vars) (string, error) {
	ofProcess := func(name string) bool { return slices.Contains(perProcess, name) }
	for _, name := range perProcess {
		delete(vars, name)
	}
	replace := []string{}
	for _, name := range sortedKeys(r.program.Environment) {
		value, err := ini.ExpandKnown(r.program.Environment[name], vars, ofProcess)
		if names, _ := ini.References(value); err == nil && len(names) > 0 {
			mark := fmt.Sprintf("\x00%s\x00", name) // no file has a NUL in it that ini would let through here
			vars["ENV_"+name] = mark
			replace = append(replace, mark, value)
		}
	}
	out, err := ini.ExpandKnown(template, vars, ofProcess)
	return strings.NewReplacer(replace...).Replace(out), err
}

// unknownName says why a key cannot use a name.
func (r *programReader) unknownName(k Key, template, name string) error {
	variable, isEnv := strings.CutPrefix(name, "ENV_")
	switch {
	case isEnv:
		return fmt.Errorf("%q needs the environment variable %s here, where the file is read, and it is not set", template, variable)
	case name == "group_name":
		return fmt.Errorf("%q is ambiguous: the program is in several groups, and %s is the same in all of them", template, k.Name)
	case slices.Contains(perProcess, name):
		return fmt.Errorf("%q cannot use %s: all processes of the program share %s", template, name, k.Name)
	}
	return fmt.Errorf("%q uses the name %q, which is not known; there are here, host_node_name, program_name, group_name and ENV_X for each variable X", template, name)
}

// environment expands here in the values, and everything in the names.
func (r *programReader) environment(k Key, key string, v ini.Value) error {
	templates := r.program.Environment
	r.program.Environment = nil
	out := make(map[string]string, len(templates))
	for _, template := range sortedKeys(templates) {
		name, err := ini.Expand(template, r.varsOf(k, v))
		var unknown *ini.UnknownNameError
		switch {
		case errors.As(err, &unknown):
			return r.unknownName(k, template, unknown.Name)
		case err != nil:
			return err
		case usesMachine(template):
			r.note(r.section, key, "the name %q depends on the machine; it is expanded here and now, to %q", template, name)
		}
		if _, twice := out[name]; twice {
			return fmt.Errorf("the name %s is given twice", name)
		}
		value, err := r.commonInto(templates[template])
		if err == nil {
			value, err = r.here(value, v)
		}
		if out[name] = value; err != nil {
			return fmt.Errorf("the value of %s: %s", name, withoutText(err))
		}
	}
	r.program.Environment = out
	return nil
}

// withForm adds what is accepted to an error that does not say it.
func withForm(err error, form string) error {
	if err == nil || errors.Is(err, errNoEffect) || strings.Contains(err.Error(), "; ") {
		return err
	}
	return fmt.Errorf("%w; write %s", err, form)
}
