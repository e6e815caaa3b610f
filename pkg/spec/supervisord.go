package spec

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// Supervisord is what [supervisord], or supervisord's command line, says about the daemon itself. The environment
// that it gives to programs is in the programs, which Read makes.
type Supervisord struct {
	Logfile         string // a path, or LogfileSyslog
	LogfileMaxBytes int64  // 0 or less never rotates
	LogfileBackups  int
	Loglevel        ini.Level
	Pidfile         string
	Umask           int
	Nodaemon        bool
	Silent          bool
	Minfds          int
	Minprocs        int
	Nocleanup       bool
	Childlogdir     string
	User            string // "" is unset
	Directory       string // "" is unset
	StripANSI       bool
	Identifier      string
	// ExitOn and StdoutLogPrefix are distsuper's own.
	ExitOn          ExitOn
	StdoutLogPrefix bool
}

// LogfileSyslog is the Logfile that is no file.
const LogfileSyslog = "syslog"

// ExitOn says what ends the daemon besides a signal.
type ExitOn string

const (
	ExitNever ExitOn = "never"    // nothing
	ExitFatal ExitOn = "fatal"    // a process is FATAL
	ExitAny   ExitOn = "any-exit" // a process that was RUNNING has ended by itself, or one is FATAL
)

// A SupervisordKey describes one key of [supervisord], and the flag of supervisord's command line that means the same.
type SupervisordKey struct {
	Name    string
	Default string // as it would be written; "" is unset
	Form    string // the accepted form, for people
	Doc     string
	// Flag is the letter of the short flag, "" for none; the long one is Name. Switch: the flag has no value.
	Flag   string
	Switch bool
	// Ours: distsuper's own key, which supervisord neither knows nor minds.
	Ours bool
	// FileOnly: there is no flag at all. NoEffect: the value of the file is not even looked at. Clears: an empty value counts as not written.
	FileOnly, NoEffect, Clears bool

	set func(s *Supervisord, text string, w Paths) error
}

// Set reads the text of a value.
func (k SupervisordKey) Set(s *Supervisord, text string, w Paths) error { return k.set(s, text, w) }

// Paths is what the values of [supervisord] need to know of the host.
type Paths struct {
	// IsDir reports whether there is a directory of that name.
	IsDir func(path string) bool
	// Home is the home directory of a user, of our own for "".
	Home func(user string) (string, error)
	// TempDir is the directory of AUTO logs where nobody names another.
	TempDir string
}

// expand replaces a leading "~" as Python's expanduser does: a user who is not known is left as it is.
func (w Paths) expand(path string) string {
	rest, tilde := strings.CutPrefix(path, "~")
	if !tilde {
		return path
	}
	user, rest, _ := strings.Cut(rest, "/")
	home, err := w.Home(user)
	if err != nil {
		return path
	}
	return filepath.Join(home, rest)
}

func (w Paths) file(text string) (string, error) {
	path := w.expand(text)
	if dir := filepath.Dir(path); !w.IsDir(dir) {
		return "", fmt.Errorf("the directory named as part of the path %s does not exist", text)
	}
	return path, nil
}

func (w Paths) directory(text string) (string, error) {
	path := w.expand(text)
	if !w.IsDir(path) {
		return "", fmt.Errorf("%s is not an existing directory", text)
	}
	return path, nil
}

// daemonValue makes a set of a field and its parser.
func daemonValue[T any](field func(*Supervisord) *T, parse func(string) (T, error)) func(*Supervisord, string, Paths) error {
	return func(s *Supervisord, text string, _ Paths) error { return into(field(s), parse)(text) }
}

// daemonFile leaves the field as it is when the text is empty, as supervisord does with its flags.
func daemonFile(field func(*Supervisord) *string) func(*Supervisord, string, Paths) error {
	return func(s *Supervisord, text string, w Paths) error {
		if text == "" {
			return nil
		}
		return into(field(s), w.file)(text)
	}
}

// userName refuses an empty name: whoever wrote one did not mean root.
func userName(text string) (string, error) {
	if text == "" {
		return "", errors.New("Invalid user name ") //lint:ignore ST1005 supervisor's own words
	}
	return text, nil
}

func daemonDirectory(field func(*Supervisord) *string) func(*Supervisord, string, Paths) error {
	return func(s *Supervisord, text string, w Paths) error { return into(field(s), w.directory)(text) }
}

// SupervisordKeys returns the keys of [supervisord] in the order in which they are documented.
func SupervisordKeys() []SupervisordKey { return slices.Clone(supervisordTable) }

var supervisordTable = []SupervisordKey{
	{Name: "nodaemon", Flag: "n", Switch: true, Default: "false", Form: formBool, Doc: "Stays in the foreground.",
		set: daemonValue(func(s *Supervisord) *bool { return &s.Nodaemon }, ini.ParseBool)},
	{Name: "silent", Flag: "s", Switch: true, Default: "false", Form: formBool, Doc: "In the foreground, keeps the log off stdout.",
		set: daemonValue(func(s *Supervisord) *bool { return &s.Silent }, ini.ParseBool)},
	{Name: "user", Flag: "u", Form: "a user's name or number", Doc: "The user that the daemon runs as; only root may change it.",
		set: daemonValue(func(s *Supervisord) *string { return &s.User }, userName)},
	{Name: "umask", Flag: "m", Default: "022", Form: "an octal number", Doc: "The umask of the daemon in the background, and of the processes that it starts.",
		set: daemonValue(func(s *Supervisord) *int { return &s.Umask }, ini.ParseOctal)},
	{Name: "directory", Flag: "d", Form: "a directory that exists", Doc: "The directory of the daemon in the background.",
		set: daemonDirectory(func(s *Supervisord) *string { return &s.Directory })},
	{Name: "logfile", Flag: "l", Clears: true, Default: "supervisord.log", Form: "a path, or syslog", Doc: "The daemon's own log.",
		set: daemonFile(func(s *Supervisord) *string { return &s.Logfile })},
	{Name: "logfile_maxbytes", Flag: "y", Default: "50MB", Form: formBytes, Doc: "The size at which the daemon's own log is rotated.",
		set: daemonValue(func(s *Supervisord) *int64 { return &s.LogfileMaxBytes }, ini.ParseBytes)},
	{Name: "logfile_backups", Flag: "z", Default: "10", Form: formInt, Doc: "How many rotated logs of the daemon are kept.",
		set: daemonValue(func(s *Supervisord) *int { return &s.LogfileBackups }, ini.ParseInt)},
	{Name: "loglevel", Flag: "e", Default: "info", Form: "critical, error, warn, info, debug, trace or blather", Doc: "The least important messages that are logged.",
		set: daemonValue(func(s *Supervisord) *ini.Level { return &s.Loglevel }, ini.ParseLevel)},
	{Name: "pidfile", Flag: "j", Clears: true, Default: "supervisord.pid", Form: "a path", Doc: "The file with the daemon's pid while it runs.",
		set: daemonFile(func(s *Supervisord) *string { return &s.Pidfile })},
	{Name: "identifier", Flag: "i", Default: "supervisor", Form: "any text", Doc: "The name of this daemon, in the names of AUTO logs.",
		set: daemonValue(func(s *Supervisord) *string { return &s.Identifier }, anyString)},
	{Name: "childlogdir", Flag: "q", Form: "a directory that exists", Doc: "The directory of AUTO logs; if unset, the system's directory for temporary files.",
		set: daemonDirectory(func(s *Supervisord) *string { return &s.Childlogdir })},
	{Name: "nocleanup", Flag: "k", Switch: true, Default: "false", Form: formBool, Doc: "Keeps AUTO logs of earlier daemons.",
		set: daemonValue(func(s *Supervisord) *bool { return &s.Nocleanup }, ini.ParseBool)},
	{Name: "minfds", Flag: "a", Default: "1024", Form: formInt, Doc: "How many open files the limit must allow each process.",
		set: daemonValue(func(s *Supervisord) *int { return &s.Minfds }, ini.ParseInt)},
	{Name: "minprocs", Default: "200", Form: formInt, Doc: "How many processes the limit must allow the user.",
		set: daemonValue(func(s *Supervisord) *int { return &s.Minprocs }, ini.ParseInt)},
	{Name: "strip_ansi", Flag: "t", Switch: true, Default: "false", Form: formBool, Doc: "Removes escape sequences, such as colours, from the output of processes.",
		set: daemonValue(func(s *Supervisord) *bool { return &s.StripANSI }, ini.ParseBool)},
	{Name: "profile_options", Form: "any text", NoEffect: true, Doc: "Supervisord's profiler, which is Python's.",
		set: func(*Supervisord, string, Paths) error { return nil }},
	{Name: "exit_on", Default: "never", Form: "fatal, any-exit or never", Ours: true, FileOnly: true,
		Doc: "Ends the daemon with exit code 1 when a process is FATAL (fatal), or when any process has ended by itself (any-exit).",
		set: daemonValue(func(s *Supervisord) *ExitOn { return &s.ExitOn }, parseExitOn)},
	{Name: "stdout_log_prefix", Default: "false", Form: formBool, Ours: true, FileOnly: true,
		Doc: "Puts the name of the process before each line that it writes to the daemon's own /dev/stdout or /dev/stderr: name | line.",
		set: daemonValue(func(s *Supervisord) *bool { return &s.StdoutLogPrefix }, ini.ParseBool)},
}

func parseExitOn(text string) (ExitOn, error) {
	e := ExitOn(strings.ToLower(strings.TrimSpace(text)))
	if e != ExitNever && e != ExitFatal && e != ExitAny {
		return "", fmt.Errorf("not a reason to end: %q; write fatal, any-exit or never", text)
	}
	return e, nil
}

// ReadSupervisord reads [supervisord] of a file; a file without one has the defaults. Its error joins one for each
// key that is wrong, as Read's does. The keys in overridden are checked and not used: the command line has them.
// The remarks are about keys that nobody knows.
func ReadSupervisord(f *ini.File, o Options, w Paths, overridden func(key string) bool) (Supervisord, []Remark, error) {
	var out Supervisord
	for _, k := range supervisordTable {
		if k.Default == "" {
			continue
		}
		everywhere := Paths{IsDir: func(string) bool { return true }}
		if err := k.set(&out, k.Default, everywhere); err != nil {
			return out, nil, fmt.Errorf("the default of %s: %w", k.Name, err)
		}
	}
	out.Childlogdir = w.TempDir
	s, ok := f.Section("supervisord")
	if !ok {
		return out, nil, nil
	}
	r := newReader(f, o)
	r.shared() // its names are known in the other values, too, and its errors are Read's to tell
	r.errs = nil
	for _, k := range supervisordTable {
		if k.NoEffect {
			continue
		}
		into := &out
		if overridden != nil && overridden(k.Name) {
			into = new(Supervisord)
		}
		tell := r.failAt(s)
		if k.Name == stripKey { // Read's to tell, too
			tell = func(string, error) {}
		}
		r.options(s, []option{{name: k.Name, form: k.Form, set: func(text string) error {
			if text == "" && k.Clears {
				r.warn(s, k.Name, "is empty, which counts as unset; leave it out, or write %s", k.Form)
			}
			return k.set(into, text, w)
		}}}, nil, tell)
	}
	known := []string{"environment"}
	for _, k := range supervisordTable {
		known = append(known, k.Name)
	}
	r.unknownOptions(s, known)
	var errs []error
	for _, e := range r.errs {
		errs = append(errs, e)
	}
	return out, r.warnings, errors.Join(errs...)
}
