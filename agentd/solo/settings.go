package solo

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// Settings is what the file and the command line say together.
type Settings struct {
	spec.Supervisord
	File     string // the configuration file, absolute
	Searched bool   // nobody named it: it was found in a default location
	Config   *config.Config
	Programs []api.Program
	// Warnings are about the file. Included are the files that it includes.
	Warnings []string
	Included []string

	flags     []Flag
	servers   []spec.Server // of [unix_http_server] and [inet_http_server], which another daemon of the file serves
	serverURL string        // of [supervisorctl], where it is written
}

// Flag is a setting of [supervisord] that stands on the command line.
type Flag struct {
	Key     string // its name in the file
	Spelled string // as on the command line: "-l", "--logfile"
	Value   string // "true" for a switch
}

// Check reports what is wrong with the value.
func (f Flag) Check() error { return f.set(new(spec.Supervisord)) }

func (f Flag) set(s *spec.Supervisord) error {
	for _, k := range spec.SupervisordKeys() {
		if k.Name == f.Key {
			if err := k.Set(s, f.Value, hostPaths()); err != nil {
				return usagef("invalid value for %s %s: %w", f.Spelled, supervisor.Quote(f.Value), err)
			}
			return nil
		}
	}
	return usagef("there is no flag %s", f.Spelled)
}

// usagef makes an error that says how distsuperd solo was used wrongly: another try changes nothing.
func usagef(format string, args ...any) error { return daemon.Usage(fmt.Errorf(format, args...)) }

// hostPaths is this host.
func hostPaths() spec.Paths {
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

// Load reads the configuration file, or the one that is found where file is "", and puts the flags above it.
func Load(file string, flags []Flag) (*Settings, error) {
	file, searched, err := config.FindSolo(file, config.Options{})
	if err == nil && file == "" {
		err = config.ErrNoSoloFile
	}
	if err != nil {
		return nil, daemon.Usage(err)
	}
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil, usagef("could not find config file %s", file)
	}
	s := &Settings{File: file, Searched: searched, flags: flags}
	if s.Config, err = config.Load(config.Options{Program: config.Distsuperd, File: file}); err != nil {
		return nil, daemon.Usage(err)
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
	o := spec.Options{Source: s.Config.Ctl.Source, Environ: environ, HostNode: host, LocalMachine: s.Config.Agent.Machine, Alone: true}
	if err := s.readFile(o); err != nil {
		return nil, daemon.Usage(err)
	}
	return s, s.applyFlags()
}

// reload reads the same file with the same flags, as the next daemon in this process will.
func (s *Settings) reload() (*Settings, error) { return Load(s.File, s.flags) }

func (s *Settings) readFile(o spec.Options) error {
	f := s.Config.Ini
	given := func(key string) bool { // a flag with an empty value leaves the file's
		return slices.ContainsFunc(s.flags, func(f Flag) bool { return f.Key == key && f.Value != "" })
	}
	o.StripANSI = given("strip_ansi")
	own, remarks, ownErr := spec.ReadSupervisord(f, o, hostPaths(), given)
	programs, err := spec.Read(f, o)
	if err := errors.Join(ownErr, err); err != nil {
		return err
	}
	s.Supervisord, s.Programs, s.servers = own, programs.Programs, programs.Servers
	if ctl, ok := f.Section("supervisorctl"); ok && programs.Ctl != nil {
		if _, written := ctl.Get("serverurl"); written {
			s.serverURL = programs.Ctl.ServerURL
		}
	}
	s.Warnings = append(s.Warnings, f.Warnings...)
	for _, r := range append(remarks, programs.Warnings...) {
		s.Warnings = append(s.Warnings, r.String())
	}
	s.Warnings = append(s.Warnings, unserved(programs.Servers)...)
	s.Included = f.Files()[1:]
	return nil
}

// unserved warns of supervisor's HTTP servers, which are not served.
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
func (s *Settings) applyFlags() error {
	for _, f := range s.flags {
		if err := f.set(&s.Supervisord); err != nil {
			return err
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

// allWarnings are those of both readers of the file.
func (s *Settings) allWarnings() []string { return slices.Concat(s.Warnings, s.Config.Warnings) }
