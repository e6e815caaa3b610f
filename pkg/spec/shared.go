package spec

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// shared reads the environment of [supervisord], which every process gets below its own, and which %(ENV_X)s
// finds as it does the reader's environment. Values stay templates for the machine.
func (r *reader) shared() {
	s, ok := r.file.Section("supervisord")
	if !ok {
		return
	}
	v, ok := s.Get("environment")
	if !ok {
		return
	}
	found, err := r.sharedVariables(v)
	if err != nil {
		r.fail(s, "environment", withForm(err, `NAME="value",NAME2="value"`))
		return
	}
	now := ini.Vars{}
	for name, template := range found {
		if value, err := ini.Expand(template, r.vars); err == nil {
			now["ENV_"+name] = value
		}
	}
	maps.Copy(r.vars, now) // only when all are expanded: they do not see each other
	r.common = found
}

// stripANSI reads the strip_ansi of [supervisord], which counts for every program that does not say otherwise.
func (r *reader) stripANSI() {
	if s, ok := r.file.Section("supervisord"); ok {
		r.options(s, []option{{name: stripKey, form: formBool, set: into(&r.strip, ini.ParseBool)}}, nil, r.failAt(s))
	}
	r.strip = r.strip || r.settings.StripANSI
}

// stripKey is a key of programs and of [supervisord].
const stripKey = "strip_ansi"

func (r *reader) sharedVariables(v ini.Value) (map[string]string, error) {
	if _, err := ini.References(v.Text); err != nil {
		return nil, errors.New("a value is wrong: " + withoutText(err))
	}
	list, err := ini.ParseEnvironmentTemplate(v.Text)
	if err != nil {
		return nil, withoutPrefix(err)
	}
	vars := maps.Clone(r.vars)
	vars["here"] = directory(v)
	out := map[string]string{}
	for _, variable := range list {
		name, err := ini.Expand(variable.Name, vars)
		if err != nil {
			return nil, fmt.Errorf("the name %q: %w", variable.Name, err)
		}
		out[name], err = ini.ExpandKnown(variable.Value, ini.Vars{"here": vars["here"]}, onMachine)
		if err == nil {
			_, err = try(out[name], false)
		}
		var unknown *ini.UnknownNameError
		switch {
		case errors.As(err, &unknown):
			return nil, fmt.Errorf("the value of %s uses the name %q, which is not known; there are here, host_node_name and ENV_X for each variable X", name, unknown.Name)
		case err != nil:
			return nil, fmt.Errorf("the value of %s: %s", name, withoutText(err))
		}
	}
	return out, nil
}

// commonInto puts what templates of a program's own environment ask of the common one into them: the machine
// expands them by its own environment alone.
func (r *reader) commonInto(template string) (string, error) {
	if len(r.common) == 0 {
		return template, nil
	}
	vars := ini.Vars{}
	var replace []string
	for name, value := range r.common {
		if names, err := ini.References(value); err == nil && len(names) == 0 {
			vars["ENV_"+name], _ = ini.Expand(value, nil)
			continue
		}
		mark := fmt.Sprintf("\x00%s\x00", name) // no file has a NUL in it that ini would let through here
		vars["ENV_"+name] = mark
		replace = append(replace, mark, value)
	}
	out, err := ini.ExpandKnown(template, vars, func(string) bool { return true })
	return strings.NewReplacer(replace...).Replace(out), err
}

// withCommon adds the common environment below the program's own.
func (r *programReader) withCommon() {
	if len(r.common) == 0 {
		return
	}
	all := maps.Clone(r.common)
	maps.Copy(all, r.program.Environment)
	r.program.Environment = all
}
