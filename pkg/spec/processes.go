package spec

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/visible"
)

// Processes makes the processes that a program asks for: numprocs for each of its groups, in
// order of group and number. What depends on the machine stays a template. The error names the key
// that cannot be expanded, or the process name that came out twice.
func Processes(p api.Program) ([]api.Process, error) {
	seen := map[string]bool{}
	var all []api.Process
	for _, g := range p.GroupList() {
		for num := p.NumprocsStart; num < p.NumprocsStart+p.Numprocs; num++ {
			proc, err := process(p, g, num)
			if err != nil {
				return nil, fmt.Errorf("program %s: %w", p.Name, err)
			}
			if seen[proc.ID()] {
				return nil, fmt.Errorf("program %s: %w", p.Name, wrong("process_name", p.ProcessName,
					"%q gives the name %q twice; it needs %%(process_num)d when numprocs is above 1", p.ProcessName, proc.ID()))
			}
			seen[proc.ID()] = true
			all = append(all, proc)
		}
	}
	return all, nil
}

// process makes the num-th process of a program in one group.
func process(p api.Program, g api.Group, num int) (api.Process, error) {
	e := expander{vars: ini.Vars{
		"program_name": p.Name, "group_name": g.Name, "process_num": num, "numprocs": p.Numprocs,
	}}
	out := api.Process{Group: g.Name, Program: p.Name, GroupPriority: g.Priority, Settings: p.Settings}
	out.Name = e.whole("process_name", p.ProcessName)
	out.Command = e.known("command", p.Command)
	out.Directory = e.known("directory", p.Directory)
	out.User = e.known("user", p.User)
	out.Stdout.File = e.twice("stdout_logfile", p.Stdout.File)
	out.Stderr.File = e.twice("stderr_logfile", p.Stderr.File)
	if p.Environment != nil {
		out.Environment = make(map[string]string, len(p.Environment))
		for _, name := range sortedKeys(p.Environment) {
			out.Environment[name] = e.known("environment", p.Environment[name])
		}
	}
	out.Environment = withServerURL(out.Environment, p.ServerURL)
	if err := ValidName("the name of a process", out.Name); err != nil {
		e.keep("process_name", p.ProcessName, err)
	}
	if e.err != nil {
		return out, e.err
	}
	return out, nil
}

// serverURLVariable is where supervisor's client libraries look.
const serverURLVariable = "SUPERVISOR_SERVER_URL"

// withServerURL adds a written serverurl to an environment, which may say otherwise itself. It changes only maps
// that process has made.
func withServerURL(environment map[string]string, url string) map[string]string {
	if _, own := environment[serverURLVariable]; own || url == "" {
		return environment
	}
	if environment == nil {
		environment = map[string]string{}
	}
	environment[serverURLVariable] = ini.EscapePercent(url)
	return environment
}

// expander keeps the first error, so that its caller reads as a list of fields.
type expander struct {
	vars ini.Vars
	err  *FieldError
}

func (e *expander) keep(field, template string, err error) {
	if err == nil || e.err != nil {
		return
	}
	e.err = &FieldError{Field: field, Value: template, Reason: err.Error(), cause: err}
	if field == "environment" {
		e.err.Value, e.err.Reason = "", withoutText(err)
	}
}

// whole expands a template of which nothing may be left for the machine.
func (e *expander) whole(field, template string) string {
	s, err := ini.Expand(template, e.vars)
	e.keep(field, template, err)
	return s
}

// known leaves what the keeper expands.
func (e *expander) known(field, template string) string {
	s, err := ini.ExpandKnown(template, e.vars, onMachine)
	e.keep(field, template, err)
	return s
}

// twice is known for a log file, which the keeper expands twice as supervisor does: what is put in
// here must survive both. Where the first expansion needs nothing of the machine it is done here, so
// that names which appear by it are known, too.
func (e *expander) twice(field, template string) string {
	inner := expander{vars: make(ini.Vars, len(e.vars))}
	for name, v := range e.vars {
		if s, ok := v.(string); ok {
			v = ini.EscapePercent(s)
		}
		inner.vars[name] = v
	}
	var out string
	if usesMachine(template) {
		out = inner.known(field, template)
	} else {
		once := inner.whole(field, template)
		out = ini.EscapePercent(e.known(field, once))
	}
	if inner.err != nil {
		e.keep(field, template, inner.err.cause)
	}
	return out
}

// ValidName checks a program, group or process name: not empty, no white space, ":" or "/" (supervisor:
// options.py, process_or_group_name), at most 200 bytes of UTF-8 and no control characters, so that it makes a key; no "*", which
// means many names, no ".", ".." and nothing that hides what follows, so that it is what people read.
func ValidName(what, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("%s is empty", what)
	case len(name) > 200:
		return fmt.Errorf("%s %q... is longer than 200 bytes", what, name[:40])
	case !utf8.ValidString(name):
		return fmt.Errorf("%s %q is not UTF-8", what, name)
	case strings.ContainsAny(name, ":/"), strings.ContainsFunc(name, unicode.IsSpace):
		return fmt.Errorf("%s %q may not contain a space, ':' or '/'", what, name)
	case visible.Line(name) != name:
		return fmt.Errorf("%s %q may not contain control characters", what, name)
	case strings.Contains(name, "*"):
		return fmt.Errorf("%s %q may not contain '*', which stands for many names", what, name)
	case name == "." || name == "..":
		return fmt.Errorf("%s may not be %q, which is a directory in every path", what, name)
	}
	return nil
}
