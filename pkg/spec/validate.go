package spec

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/distsuper/distsuper/pkg/api"
)

// MaxProcs bounds numprocs: one program with more is a slip of the hand.
const MaxProcs = 10000

// A FieldError says which field of a program is wrong, by the name of its key in a file ("name",
// "groups" and "source" for those that have none), and what would be right.
type FieldError struct {
	Field  string
	Value  string // as it would be written; of the environment only the variable's name
	Reason string // a phrase that names the value and the accepted form

	cause error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Unwrap returns what the reason was made of, or nil.
func (e *FieldError) Unwrap() error { return e.cause }

func wrong(field, value, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Value: value, Reason: fmt.Sprintf(format, args...)}
}

// Validate checks a program as the store would hold it; Normalize comes first. It returns nil or a
// *FieldError, that of the first key in the order of Keys. Whether the command, the user and the
// directories exist is found out on the machine.
func Validate(p api.Program) error {
	if all := problems(p); len(all) > 0 {
		return all[0]
	}
	return nil
}

// problems returns all that Validate could return, at most one for each field.
func problems(p api.Program) []*FieldError {
	c := &checker{p: p}
	c.name()
	c.texts()
	c.words()
	c.numbers()
	c.machines()
	c.groups()
	c.templates()
	if len(c.found) == 0 {
		c.processes()
	}
	slices.SortStableFunc(c.found, func(a, b *FieldError) int { return position(a.Field) - position(b.Field) })
	return c.found
}

// position of a field among the keys; what is no key comes first.
func position(field string) int {
	return slices.IndexFunc(table, func(k Key) bool { return k.Name == field })
}

type checker struct {
	p     api.Program
	found []*FieldError
}

// add keeps the first problem of each field: those after it are mostly its consequences.
func (c *checker) add(e *FieldError) {
	if e != nil && !slices.ContainsFunc(c.found, func(f *FieldError) bool { return f.Field == e.Field }) {
		c.found = append(c.found, e)
	}
}

func (c *checker) name() {
	if err := ValidName("the name of a program", c.p.Name); err != nil {
		c.add(&FieldError{Field: "name", Value: c.p.Name, Reason: err.Error(), cause: err})
	}
	if c.p.Source == "" || hasControl(c.p.Source) || !utf8.ValidString(c.p.Source) {
		c.add(wrong("source", c.p.Source, "%q is not the name of a source; write a word such as file", c.p.Source))
	}
}

// texts looks for what neither JSON nor a process can hold.
func (c *checker) texts() {
	check := func(field, value, shown string) {
		switch {
		case !utf8.ValidString(value):
			c.add(wrong(field, shown, "%q is not UTF-8", shown))
		case strings.Contains(value, "\x00"):
			c.add(wrong(field, shown, "%q has a NUL character, which no process can be given", shown))
		}
	}
	p := c.p
	for _, f := range []struct{ field, value string }{
		{"command", p.Command}, {"process_name", p.ProcessName}, {"directory", p.Directory}, {"user", p.User},
		{"stdout_logfile", p.Stdout.File}, {"stderr_logfile", p.Stderr.File}, {"serverurl", p.ServerURL},
	} {
		check(f.field, f.value, f.value)
	}
	for _, name := range sortedKeys(p.Environment) {
		check("environment", name+p.Environment[name], name)
		if name == "" || strings.Contains(name, "=") {
			c.add(wrong("environment", name, "%q cannot be the name of a variable: it is not empty and has no =", name))
		}
	}
	if strings.TrimSpace(p.Command) == "" {
		c.add(wrong("command", p.Command, "a program needs a command; write command = /path/to/program"))
	}
}

// words checks the values of which there are few.
func (c *checker) words() {
	p := c.p
	if s, err := parseSignal(p.StopSignal); err != nil || s != p.StopSignal {
		c.add(wrong("stopsignal", p.StopSignal, "not a signal: %q; write a name such as TERM, HUP, INT, QUIT, KILL, USR1 or USR2", p.StopSignal))
	}
	if !slices.Contains([]api.Autorestart{api.RestartAlways, api.RestartNever, api.RestartUnexpected}, p.Autorestart) {
		c.add(wrong("autorestart", string(p.Autorestart), "not one of true, false and unexpected: %q", p.Autorestart))
	}
	if !slices.Contains([]api.OnPartition{api.PartitionUnset, api.PartitionStop, api.PartitionKeep}, p.OnPartition) {
		c.add(wrong("on_partition", string(p.OnPartition), "neither stop nor keep: %q", p.OnPartition))
	}
	if !slices.Contains([]api.OnStoreOutage{api.OutageUnset, api.OutageHold, api.OutageStop}, p.OnStoreOutage) {
		c.add(wrong("on_store_outage", string(p.OnStoreOutage), "neither hold nor stop: %q", p.OnStoreOutage))
	}
}

func (c *checker) numbers() {
	p := c.p
	for _, f := range []struct {
		field string
		n     int
		min   int
		why   string
	}{
		{"numprocs", p.Numprocs, 0, ""},
		{"numprocs_start", p.NumprocsStart, math.MinInt32, ""},
		{"priority", p.Priority, math.MinInt32, ""},
		{"startsecs", p.StartSecs, 0, ""},
		{"startretries", p.StartRetries, 0, ""},
		{"stopwaitsecs", p.StopWaitSecs, 0, ""},
		{"touch_timeout", p.TouchTimeout, 2, " (seconds; a lease in etcd cannot be shorter)"},
		{"max_fail_count", p.MaxFailCount, 0, ""},
		{"stdout_logfile_backups", p.Stdout.Backups, 0, ""},
		{"stderr_logfile_backups", p.Stderr.Backups, 0, ""},
	} {
		switch value := fmt.Sprint(f.n); {
		case f.n < f.min:
			c.add(wrong(f.field, value, "%d is too small; write a whole number of at least %d%s", f.n, f.min, f.why))
		case f.n > math.MaxInt32:
			c.add(wrong(f.field, value, "%d is too large; write a whole number up to %d", f.n, math.MaxInt32))
		case f.field == "numprocs" && f.n > MaxProcs:
			c.add(wrong(f.field, value, "%d is too large; a program may have %d processes", f.n, MaxProcs))
		}
	}
	for _, code := range p.ExitCodes {
		if code < 0 || code > 255 {
			c.add(wrong("exitcodes", fmt.Sprint(code), "%d is not an exit code; write numbers from 0 to 255", code))
		}
	}
	if p.Umask != nil && (*p.Umask < 0 || *p.Umask > 0o7777) {
		c.add(wrong("umask", fmt.Sprintf("%o", *p.Umask), "%o is not a umask; write an octal number as 022", *p.Umask))
	}
}

func (c *checker) machines() {
	for _, m := range c.p.Machines {
		key, _, label := strings.Cut(m, "=")
		switch {
		case !utf8.ValidString(m), m == "", label && key == "", strings.Contains(m, ","), hasControl(m):
			c.add(wrong("machines", m, "%q is not a name, an address or a label such as zone=a", m))
		case !label && strings.ContainsFunc(m, unicode.IsSpace):
			c.add(wrong("machines", m, "%q has white space in it; separate machines by commas", m))
		case isLocal(m):
			c.add(wrong("machines", m, "%s means another machine to each reader; write the machine's name", m))
		}
	}
}

// isLocal knows the names that mean the machine on which they are read.
func isLocal(m string) bool {
	return strings.EqualFold(m, "localhost") || m == "127.0.0.1" || m == "::1"
}

func (c *checker) groups() {
	for i, g := range c.p.Groups {
		if err := ValidName("the name of a group", g.Name); err != nil {
			c.add(&FieldError{Field: "groups", Value: g.Name, Reason: err.Error(), cause: err})
		}
		if slices.ContainsFunc(c.p.Groups[:i], func(o api.Group) bool { return o.Name == g.Name }) {
			c.add(wrong("groups", g.Name, "the group %s is named twice", g.Name))
		}
		if g.Priority < math.MinInt32 || g.Priority > math.MaxInt32 {
			c.add(wrong("groups", g.Name, "the priority %d of the group %s is out of range", g.Priority, g.Name))
		}
	}
}

func (c *checker) templates() {
	p := c.p
	for _, f := range []struct {
		field, template string
		check           func(string) error
	}{
		{"command", p.Command, checkTemplate}, {"directory", p.Directory, checkTemplate}, {"user", p.User, checkTemplate},
		{"stdout_logfile", p.Stdout.File, checkLogTemplate}, {"stderr_logfile", p.Stderr.File, checkLogTemplate},
	} {
		if err := f.check(f.template); err != nil {
			c.add(&FieldError{Field: f.field, Value: f.template, Reason: err.Error(), cause: err})
		}
	}
	for _, name := range sortedKeys(p.Environment) {
		if err := checkTemplate(p.Environment[name]); err != nil {
			c.add(wrong("environment", name, "the value of %s: %s", name, withoutText(err)))
		}
	}
}

// processes finds what comes out only when the processes are made.
func (c *checker) processes() {
	_, err := Processes(c.p)
	var e *FieldError
	if errors.As(err, &e) {
		c.add(e)
	}
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
