package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/distsuper/distsuper/pkg/cwd"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/ownership"
)

// ConfigFlag is the flag that names the file.
const ConfigFlag = "config"

// AddFlags adds -c and the flags of the program's settings.
func AddFlags(fs *pflag.FlagSet, program Program) {
	fs.StringP(ConfigFlag, "c", "", "configuration `FILE` (env "+EnvFile+"; else ./"+FileName+", else "+EtcFile+")")
	for _, s := range Settings {
		for _, p := range s.For {
			if p == program {
				fs.String(s.Flag, "", s.usage())
			}
		}
	}
}

// usage is the setting's line in --help.
func (s Setting) usage() string {
	line := s.Help + " (" + s.Name() + ", env " + s.Env
	switch {
	case s.Shown != "":
		line += "; default: " + s.Shown
	case s.Default != "":
		line += "; default " + s.Default
	}
	return line + ")"
}

// Options is what Load needs to know of the world; zero fields mean the real one.
type Options struct {
	// Flags are those that AddFlags made for Program, parsed; nil is none.
	Flags   *pflag.FlagSet
	Program Program
	// File is the file to read, whatever flags and environment say; "" is found as they say.
	File string
	// WithoutIncludes reads the file without what it includes.
	WithoutIncludes bool
	// Cwd is where ./distsuper.ini is looked for, Host the host name, EtcFile the file of the system.
	Cwd, Host, EtcFile string
}

func (o Options) withDefaults() (Options, error) {
	var err error
	if o.EtcFile == "" {
		o.EtcFile = EtcFile
	}
	if o.Cwd == "" {
		o.Cwd = cwd.Path()
	}
	if o.Host == "" {
		if o.Host, err = os.Hostname(); err != nil {
			return o, fmt.Errorf("find the host name: %w", err)
		}
	}
	return o, nil
}

// flag is a setting's flag when it was given on the command line, else nil.
func (o Options) flag(s Setting) *pflag.Flag {
	if o.Flags == nil || !slices.Contains(s.For, o.Program) {
		return nil
	}
	if f := o.Flags.Lookup(s.Flag); f != nil && f.Changed {
		return f
	}
	return nil
}

// named is the file that a flag or the environment names.
func (o Options) named() string {
	if o.Flags != nil {
		if f := o.Flags.Lookup(ConfigFlag); f != nil && f.Changed {
			return f.Value.String()
		}
	}
	return os.Getenv(EnvFile)
}

// Load finds and reads the file and puts flags and environment above it. Every error of it is the
// user's to mend (exit code 2) and says where and how; ErrNoFile is one of them.
func Load(o Options) (*Config, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	name := o.File
	if name == "" {
		if name, err = find(o.named(), o.Cwd, o.EtcFile); err != nil {
			return nil, err
		}
	}
	if name == "" && o.Program == Ctl {
		// Beside a supervisord.conf that solo runs, nothing else is needed to reach it.
		if file := supervisorFile(o.Cwd); file != "" {
			if _, runs := SoloEndpoint(file); runs {
				name = file
			}
		}
	}
	file, err := readIni(name, o)
	if err != nil {
		return nil, err
	}
	readable, err := secrets(file)
	if err != nil {
		return nil, err
	}
	c := &Config{File: name, Ini: file, Warnings: slices.Concat(file.Warnings, warnings(file, o.Program), readable), texts: map[string]string{}}
	if err := c.fill(o); err != nil {
		return nil, err
	}
	if name == "" && c.UsesEmbedded() {
		return nil, ErrNoFile
	}
	c.defaults(o)
	if err := c.checkState(o.Program, os.Geteuid()); err != nil {
		return nil, err
	}
	return c, c.check()
}

// checkState refuses a state directory in which another user could have a say. distsuperctl looks at no more than it uses:
// the way to the embedded etcd.
func (c *Config) checkState(program Program, euid int) error {
	var errs []error
	check := func(path string, check func(string, int) error) {
		if err := check(path, euid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("state directory: %w", err))
		}
	}
	switch {
	case program == Ctl && c.UsesEmbedded():
		check(filepath.Join(c.Controller.StateDir, "etcd"), ownership.CheckPath)
	case program == Distsuperd, program == Agent && c.UsesEmbedded():
		check(c.Controller.StateDir, ownership.CheckTree)
	}
	if program == Agent && (!c.UsesEmbedded() || c.Agent.StateDir != c.Controller.StateDir) {
		check(c.Agent.StateDir, ownership.CheckTree)
	}
	return errors.Join(errs...)
}

func readIni(name string, o Options) (*ini.File, error) {
	if name == "" {
		return ini.Parse("", "")
	}
	file, err := ini.Load(name, ini.Options{ReadFile: ReadFile, HostNode: o.Host, Environ: environ(), WithoutIncludes: o.WithoutIncludes})
	if placed := new(ini.Error); errors.Is(err, fs.ErrNotExist) && !errors.As(err, &placed) {
		return nil, fmt.Errorf("%s does not exist; write one with `distsuperctl init config`, or name another with -c FILE", name)
	}
	return file, err
}

// environ is the environment as a map, for %(ENV_X)s.
func environ() map[string]string {
	m := make(map[string]string)
	for _, entry := range os.Environ() {
		if name, value, ok := strings.Cut(entry, "="); ok {
			m[name] = value
		}
	}
	return m
}

// fill sets every field from the highest of flag, environment, file and default.
func (c *Config) fill(o Options) error {
	v := viper.New()
	texts, err := expanded(c.Ini, o)
	if err != nil {
		return err
	}
	if err := v.MergeConfigMap(texts); err != nil {
		return fmt.Errorf("read %s: %w", c.File, err)
	}
	for _, s := range Settings {
		v.SetDefault(s.path(), s.Default)
		v.MustBindEnv(s.path(), s.Env)
		if f := o.flag(s); f != nil {
			if err := v.BindPFlag(s.path(), f); err != nil {
				return fmt.Errorf("--%s: %w", s.Flag, err)
			}
		}
	}
	for _, s := range Settings {
		text := strings.TrimSpace(v.GetString(s.path()))
		if text == "" {
			text = s.Default // "key =" in the file says no more than leaving it out
		}
		c.texts[s.path()] = text
		if text == "" {
			continue
		}
		place, dir := c.place(s, o)
		if err := s.set(c, text, dir); err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
	}
	return nil
}

// expanded is the table's part of the file, section by section, with every %(name)s replaced.
func expanded(file *ini.File, o Options) (map[string]any, error) {
	vars := ini.Vars{"host_node_name": o.Host}
	for name, value := range environ() {
		vars["ENV_"+name] = value
	}
	out := map[string]any{}
	for _, name := range sections() {
		section, ok := file.Section(name)
		if !ok {
			continue
		}
		values := map[string]any{}
		for _, key := range keys(name) {
			v, ok := section.Get(key)
			if !ok {
				continue
			}
			text, err := ini.Expand(v.Text, vars)
			if err != nil {
				return nil, section.Wrap(key, err)
			}
			values[key] = text
		}
		out[name] = values
	}
	if shell := supervisorctlSettings(file, vars); shell != nil {
		own, _ := out[string(Ctl)].(map[string]any)
		maps.Copy(shell, own)
		out[string(Ctl)] = shell
	}
	return out, nil
}

// supervisorctlSettings is what a [supervisorctl] says of the shell, with supervisor's default; nil without one. What cannot
// be expanded is left out: package spec warns of it.
func supervisorctlSettings(file *ini.File, vars ini.Vars) map[string]any {
	section, ok := file.Section("supervisorctl")
	if !ok {
		return nil
	}
	out := map[string]any{"prompt": "supervisor"}
	vars = maps.Clone(vars)
	for _, key := range []string{"prompt", "history_file"} {
		v, ok := section.Get(key)
		if !ok {
			continue
		}
		vars["here"] = filepath.Dir(v.File)
		if text, err := ini.Expand(v.Text, vars); err == nil && strings.TrimSpace(text) != "" {
			out[key] = text
		}
	}
	return out
}

// place says where a setting's value came from, and what its relative paths are relative to.
func (c *Config) place(s Setting, o Options) (place, dir string) {
	switch {
	case o.flag(s) != nil:
		return "--" + s.Flag, o.Cwd
	case os.Getenv(s.Env) != "":
		return s.Env, o.Cwd
	}
	if section, ok := c.Ini.Section(s.Section); ok {
		if v, ok := section.Get(s.Key); ok {
			return fmt.Sprintf("%s:%d: %s", v.File, v.Line, s.Name()), filepath.Dir(v.File)
		}
	}
	return s.Name(), o.Cwd
}

// defaults fills what depends on the host and on where the file is.
func (c *Config) defaults(o Options) {
	setDefault := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	setDefault(&c.Controller.ID, o.Host)
	setDefault(&c.Agent.Machine, o.Host)
	setDefault(&c.Controller.StateDir, stateDir(c.File, o.Cwd))
	setDefault(&c.Agent.StateDir, stateDir(c.File, o.Cwd))
	setDefault(&c.Controller.Log.File, filepath.Join(c.Controller.StateDir, string(Distsuperd)+".log"))
	setDefault(&c.Agent.Log.File, filepath.Join(c.Agent.StateDir, string(Agent)+".log"))
	c.Controller.HTTPGiven, c.Agent.HTTPGiven = c.Controller.HTTP != "", c.Agent.HTTP != ""
	host := ""
	if c.UsesEmbedded() && !c.Embedded.Open() {
		host = "127.0.0.1" // nobody elsewhere could know of this machine
	}
	setDefault(&c.Controller.HTTP, host+":3378")
	setDefault(&c.Agent.HTTP, host+":3379")
}

// check refuses what no single value shows to be wrong.
func (c *Config) check() error {
	switch {
	case (c.Etcd.Cert == "") != (c.Etcd.Key == ""):
		return errors.New("[etcd] cert and key come together: give both or neither")
	case c.Etcd.Password != "" && c.Etcd.Username == "":
		return errors.New("[etcd] password needs a username beside it")
	}
	return c.checkMember()
}

// checkMember refuses an etcd of several that could not work.
func (c *Config) checkMember() error {
	e := c.Embedded
	fail := func(key, format string, args ...any) error {
		i := slices.IndexFunc(Settings, func(s Setting) bool { return s.Section == "embedded-etcd" && s.Key == key })
		place, _ := c.place(Settings[i], Options{})
		return fmt.Errorf("%s: %s", place, fmt.Sprintf(format, args...))
	}
	host, _, _ := net.SplitHostPort(e.PeerListen)
	ip := net.ParseIP(host)
	switch {
	case e.PeerListen == "" && len(e.Peers) > 0:
		return fail("peers", "needs peer_listen beside it: the others have to reach this member")
	case e.PeerListen == "":
		return nil
	case len(c.Etcd.Endpoints) > 0:
		return fail("peer_listen", "does not go with [etcd] endpoints: distsuperd has no etcd of its own then")
	case e.Listen == "":
		return fail("peer_listen", "needs listen beside it: agents on other hosts have to reach this member")
	case e.Listen == e.PeerListen:
		return fail("peer_listen", "%s is also the address of listen: give each its own port", e.PeerListen)
	case host == "" || ip != nil && ip.IsUnspecified():
		return fail("peer_listen", "write the address at which the others reach this host, such as 10.0.0.1:2380, not %q", e.PeerListen)
	case (e.CA == "") != (e.CAKey == ""):
		return fail("ca", "ca and ca_key come together: give both or neither")
	case (e.PeerCA == "") != (e.PeerCAKey == ""):
		return fail("peer_ca", "peer_ca and peer_ca_key come together: give both or neither")
	}
	for _, p := range e.Peers {
		address, secure := strings.CutPrefix(p, "https://")
		if _, _, err := net.SplitHostPort(address); err != nil || !secure {
			return fail("peers", "%q is not an endpoint of a member; write https://HOST:PORT", p)
		}
	}
	return nil
}

// Changed names the settings of a program that differ between two readings: those that take effect at
// once, and those that wait for the daemon's next start.
func Changed(before, after *Config, program Program) (live, atStart []string) {
	for _, s := range Settings {
		switch {
		case len(s.For) > 0 && !slices.Contains(s.For, program):
		case before.texts[s.path()] == after.texts[s.path()]:
		case s.Live:
			live = append(live, s.Name())
		default:
			atStart = append(atStart, s.Name())
		}
	}
	return live, atStart
}
