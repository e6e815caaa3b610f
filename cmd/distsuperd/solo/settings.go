package solo

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// settings is what the command line and the file say together.
type settings struct {
	spec.Supervisord
	file     string // absolute
	searched bool   // nobody named it
	config   *config.Config
	programs []api.Program
	warnings []string
	included []string // files beside file
	again    []string // the command line, with the file's absolute name, for the next one in this process
}

// usageError is answered as supervisord does: two lines on stderr, and exit code 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// asked is what was asked for in place of running: help or version.
type asked string

const (
	askedNothing asked = ""
	askedHelp    asked = "help"
	askedVersion asked = "version"
)

const fileFlag = "configuration"

// flags are those of supervisord.
func flags() []flag {
	out := []flag{{short: "h", long: "help"}, {short: "?"}, {short: "c", long: fileFlag, value: true}, {short: "v", long: "version"}}
	for _, k := range spec.SupervisordKeys() {
		if !k.FileOnly {
			out = append(out, flag{short: k.Flag, long: k.Name, value: !k.Switch})
		}
	}
	return out
}

// commandLine is a command line that was read.
type commandLine struct {
	file string
	set  map[string]given // by the name of the key
	all  []given
}

// readCommandLine reads and checks the flags. What their values mean is checked as they stand, as supervisord does.
func readCommandLine(args []string) (commandLine, asked, error) {
	line := commandLine{set: map[string]given{}}
	all, rest, err := getopt(args, flags())
	if err != nil {
		return line, "", usageError{err}
	}
	if len(rest) > 0 {
		quoted := make([]string, len(rest))
		for i, r := range rest {
			quoted[i] = supervisor.Quote(r)
		}
		return line, "", usagef("positional arguments are not supported: [%s]", strings.Join(quoted, ", "))
	}
	line.all = all
	for _, g := range all {
		switch {
		case g.long == "help" || g.short == "?":
			return line, askedHelp, nil
		case g.long == "version":
			return line, askedVersion, nil
		case g.long == fileFlag:
			if line.file != "" {
				return line, "", conflicting(g)
			}
			line.file = g.text
			continue
		}
		if err := tryFlag(g); err != nil {
			return line, "", usagef("invalid value for %s %s: %w", g.spelled, supervisor.Quote(g.text), err)
		}
		if _, twice := line.set[g.long]; twice {
			return line, "", conflicting(g)
		}
		line.set[g.long] = g
	}
	return line, askedNothing, nil
}

func conflicting(g given) error {
	return usagef("conflicting command line option %s", supervisor.Quote(g.spelled))
}

func tryFlag(g given) error { return setFlag(g, new(spec.Supervisord)) }

// setFlag sets what a flag says.
func setFlag(g given, s *spec.Supervisord) error {
	for _, k := range spec.SupervisordKeys() {
		if k.Name == g.long {
			text := g.text
			if k.Switch {
				text = "true"
			}
			return k.Set(s, text, paths())
		}
	}
	return fmt.Errorf("there is no flag %s", g.spelled)
}

// paths is this host.
func paths() spec.Paths {
	return spec.Paths{TempDir: os.TempDir(), Home: home, IsDir: func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	}}
}

func home(name string) (string, error) {
	if name == "" {
		return os.UserHomeDir()
	}
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}

// load reads the file that the command line names, or the one that is found, and puts the flags above it.
func load(line commandLine) (*settings, error) {
	file, searched, err := config.FindSolo(line.file, config.Options{})
	if err == nil && file == "" {
		err = config.ErrNoSoloFile
	}
	if err != nil {
		return nil, usageError{err}
	}
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil, usagef("could not find config file %s", file)
	}
	s := &settings{file: file, searched: searched, again: line.again(file)}
	if s.config, err = config.Load(config.Options{Program: config.Distsuperd, File: file}); err != nil {
		return nil, usageError{err}
	}
	environ := map[string]string{}
	for _, v := range os.Environ() {
		if name, value, ok := strings.Cut(v, "="); ok {
			environ[name] = value
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find the host name: %w", err)
	}
	o := spec.Options{Source: s.config.Ctl.Source, Environ: environ, HostNode: host, LocalMachine: s.config.Agent.Machine}
	if err := s.readFile(o, line); err != nil {
		return nil, usageError{err}
	}
	return s, s.applyFlags(line)
}

func (s *settings) readFile(o spec.Options, line commandLine) error {
	f := s.config.Ini
	given := func(key string) bool { // a flag with an empty value leaves the file's
		g, ok := line.set[key]
		return ok && (!g.value || g.text != "")
	}
	o.StripANSI = given("strip_ansi")
	daemon, remarks, daemonErr := spec.ReadSupervisord(f, o, paths(), given)
	programs, err := spec.Read(f, o)
	if err := errors.Join(daemonErr, err); err != nil {
		return err
	}
	s.Supervisord, s.programs = daemon, programs.Programs
	s.warnings = append(s.warnings, f.Warnings...)
	for _, r := range append(remarks, programs.Warnings...) {
		s.warnings = append(s.warnings, r.String())
	}
	s.warnings = append(s.warnings, unserved(programs.Servers)...)
	s.included = f.Files()[1:]
	return nil
}

// unserved says of supervisor's HTTP servers that they are not there.
func unserved(servers []spec.Server) []string {
	if len(servers) == 0 {
		return nil
	}
	names := make([]string, len(servers))
	for i, s := range servers {
		names[i] = "[" + s.Section + "]"
	}
	return []string{strings.Join(names, ", ") + ": supervisor's XML-RPC and web pages are not served here; use distsuperctl -c FILE in place of supervisorctl"}
}

// applyFlags puts the flags over the file's values, and makes paths absolute.
func (s *settings) applyFlags(line commandLine) error {
	for _, g := range line.all {
		if g.long == fileFlag {
			continue
		}
		if err := setFlag(g, &s.Supervisord); err != nil {
			return usagef("invalid value for %s %s: %w", g.spelled, supervisor.Quote(g.text), err)
		}
	}
	for _, path := range []*string{&s.Logfile, &s.Pidfile} {
		if *path == spec.LogfileSyslog && path == &s.Logfile {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("find the current directory: %w", err)
		}
		*path = abs
	}
	return nil
}

// again is the command line with the absolute name of the file.
func (line commandLine) again(file string) []string {
	out := []string{"-c", file}
	for _, g := range line.all {
		if g.long == fileFlag {
			continue
		}
		out = append(out, g.spelled)
		switch {
		case !g.value:
		case strings.HasPrefix(g.spelled, "--"):
			out[len(out)-1] += "=" + g.text
		default:
			out = append(out, g.text)
		}
	}
	return out
}
