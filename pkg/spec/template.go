package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// perProcess are the names that Processes replaces.
var perProcess = []string{"program_name", "group_name", "process_num", "numprocs"}

// onMachine reports whether a name is expanded by the keeper, on the machine that runs the process.
func onMachine(name string) bool {
	return name == "host_node_name" || strings.HasPrefix(name, "ENV_")
}

// usesMachine reports whether a template has names that only the machine knows.
func usesMachine(template string) bool {
	names, err := ini.References(template)
	return err == nil && slices.ContainsFunc(names, onMachine)
}

// A nameError is about a template that uses an unknown name.
type nameError struct{ template, name string }

func (e *nameError) Error() string { return fmt.Sprintf("%q: %s", e.template, e.hint()) }

func (e *nameError) hint() string {
	if e.name == "here" {
		return "here is known in files only; write the directory itself"
	}
	return fmt.Sprintf("the name %q is not known here; there are %s, host_node_name and ENV_X for each variable X",
		e.name, strings.Join(perProcess, ", "))
}

// checkTemplate tries a template as it will be expanded on the machine.
func checkTemplate(template string) error {
	_, err := try(template, true)
	return err
}

// checkLogTemplate is checkTemplate of a log file, which is expanded twice. The second time the names
// of the process are known only if the first needs nothing of the machine: see expander.twice.
func checkLogTemplate(template string) error {
	second, err := try(template, true)
	if err != nil {
		return err
	}
	if _, err := try(second, !usesMachine(template)); err != nil {
		return fmt.Errorf("%q: a log file's name is expanded twice, and the second time: %w", template, err)
	}
	return nil
}

// try expands a template with values of the right types.
func try(template string, process bool) (string, error) {
	vars := ini.Vars{}
	if process {
		vars = ini.Vars{"program_name": "x", "group_name": "x", "process_num": 0, "numprocs": 1}
	}
	names, err := ini.References(template)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if onMachine(name) {
			vars[name] = "x"
		}
	}
	out, err := ini.Expand(template, vars)
	var unknown *ini.UnknownNameError
	if errors.As(err, &unknown) {
		return "", &nameError{template, unknown.Name}
	}
	return out, err
}

// withoutText is what may be told of a template error in the environment, whose values may be secrets.
func withoutText(err error) string {
	var name *nameError
	if errors.As(err, &name) {
		return name.hint()
	}
	return "it has a percent sign that begins no name; write %% for a percent sign, and %(name)s for what a name stands for"
}
