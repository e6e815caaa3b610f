package launch

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/cwd"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// notInherited are variables that a service manager meant for the keeper or the agent alone.
var notInherited = []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}

// inherited reports whether processes get a variable of the keeper. Those of distsuper they do not: they may hold
// the password of the store, or marks of a process which a keeper above this one started. The configuration file's
// name is let through, so that a process can call distsuperctl.
func inherited(name string) bool {
	if strings.HasPrefix(name, "DISTSUPER_") {
		return name == "DISTSUPER_CONFIG"
	}
	return name != "" && !slices.Contains(notInherited, name)
}

// A Host has what Resolve needs to know of the machine and the keeper.
type Host struct {
	env      map[string]string // of the keeper, as far as it is inherited
	vars     ini.Vars          // for every expansion
	instance string
	autoLogs logs.Auto
	prefix   bool // lines of streams
	cwd      string
	uid      int
}

// Options of a Host.
type Options struct {
	Instance string    // of the keeper
	Environ  []string  // what processes inherit
	AutoLogs logs.Auto // where AUTO logs are
	// StreamPrefix begins each line that a process prints to a stream of ours, such as /dev/stdout, with its name.
	StreamPrefix bool
}

// NewHost reads what is to be known of this machine.
func NewHost(o Options) (Host, error) {
	node, err := os.Hostname()
	if err != nil {
		return Host{}, fmt.Errorf("read the host's name: %w", err)
	}
	h := Host{env: map[string]string{}, vars: ini.Vars{"host_node_name": node}, instance: o.Instance, autoLogs: o.AutoLogs, prefix: o.StreamPrefix, cwd: cwd.Path(), uid: os.Getuid()}
	for _, entry := range o.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok && inherited(name) {
			h.env[name] = value
			h.vars["ENV_"+name] = value
		}
	}
	return h, nil
}

// A Plan is everything that a fork needs, so that a restart looks nothing up. What limits a process beyond its user and
// its umask, such as rlimits, belongs here, too. A keeper that is replaced in place hands its plans on as JSON.
type Plan struct {
	Name       string              `json:"name"` // of the process, without its group, as supervisor's texts have it
	Path       string              `json:"path"` // of the command
	Argv       []string            `json:"argv"`
	Env        []string            `json:"env"`
	Dir        string              `json:"dir,omitempty"` // "" is the keeper's
	Credential *syscall.Credential `json:"credential,omitempty"`
	Umask      *int                `json:"umask,omitempty"`
	Redirect   bool                `json:"redirect,omitempty"` // stderr goes where stdout does
	Stdout     logs.Sink           `json:"stdout"`
	Stderr     logs.Sink           `json:"stderr"`
}

// Sinks returns where output goes: stdout, and stderr unless it is redirected.
func (p *Plan) Sinks() []logs.Sink {
	if p.Redirect {
		return []logs.Sink{p.Stdout}
	}
	return []logs.Sink{p.Stdout, p.Stderr}
}

// SinksFor returns them with the limits of other settings: those that may change while the process runs.
func (p *Plan) SinksFor(settings api.Settings) []logs.Sink {
	sinks := p.Sinks()
	for i := range sinks {
		limit(&sinks[i], settings)
	}
	return sinks
}

// limit puts into a sink what of a process's settings may change while it runs.
func limit(s *logs.Sink, p api.Settings) {
	from := p.Stdout
	if s.Channel == "stderr" {
		from = p.Stderr
	}
	s.MaxBytes, s.Backups, s.Syslog, s.StripANSI = from.MaxBytes, from.Backups, from.Syslog, p.StripANSI
}

// A Refusal is why this machine cannot run a process; its text is for the user.
type Refusal struct {
	Fault api.Fault
	Text  string
}

func (r Refusal) Error() string { return r.Text }

func refuse(format string, args ...any) error {
	return Refusal{api.FaultSpawn, fmt.Sprintf(format, args...)}
}

// Resolve makes the plan of a request on this machine, with token in the environment. It reads files and the user database. Every error is
// a Refusal. The plan is never nil: on an error it has what the log file names are known of.
func (h Host) Resolve(r keeper.StartRequest, token map[string]string) (*Plan, error) {
	p := r.Process
	l := &Plan{Name: p.Name, Umask: p.Umask, Redirect: p.RedirectStderr}
	vars := maps.Clone(h.vars)
	own, err := h.expandEnvironment(p, vars)
	if err != nil {
		return l, err
	}
	for name, value := range own {
		vars["ENV_"+name] = value
	}
	if err := h.resolveLogs(l, p, vars); err != nil {
		return l, err
	}
	if l.Credential, err = h.credential(p, vars); err != nil {
		return l, err
	}
	if err := h.resolveDirectory(l, p, vars); err != nil {
		return l, err
	}
	l.Env = h.childEnv(r, own, token)
	path, ok := own["PATH"]
	if !ok {
		path, ok = h.env["PATH"]
	}
	if !ok {
		path = "/bin:/usr/bin:/usr/local/bin"
	}
	if err := h.resolveCommand(l, p, vars, path); err != nil {
		return l, err
	}
	return l, h.checkLogs(l)
}

// checkLogs refuses log files that can never be written, in supervisor's words, which do not name them.
func (h Host) checkLogs(l *Plan) error {
	for _, s := range l.Sinks() {
		if s.Path == "" {
			continue
		}
		if why := h.autoLogs.Unusable(s.Path); why != 0 {
			return refuse("%s (%s_logfile %s: %v)", supervisor.PipesFailed(l.Name, unix.ErrnoName(why)), s.Channel, s.Path, why)
		}
	}
	return nil
}

func expand(option, template string, vars ini.Vars) (string, error) {
	text, err := ini.Expand(template, vars)
	var unknown *ini.UnknownNameError
	if errors.As(err, &unknown) { // the list of names that there are is the keeper's whole environment
		return "", refuse("%s: %s uses %%(%s)s, which is not set on this machine", option, supervisor.Quote(template), unknown.Name)
	}
	if err != nil {
		return "", refuse("%s: %v", option, err)
	}
	return text, nil
}

func (h Host) expandEnvironment(p api.Process, vars ini.Vars) (map[string]string, error) {
	own := make(map[string]string, len(p.Environment))
	names := make([]string, 0, len(p.Environment))
	for name := range p.Environment {
		names = append(names, name)
	}
	slices.Sort(names) // so that the first of several errors is always the same
	for _, name := range names {
		value, err := expand("environment "+name, p.Environment[name], vars)
		if err != nil {
			return nil, err
		}
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return nil, refuse("environment: %s cannot be a variable", supervisor.Quote(name))
		}
		own[name] = value
	}
	return own, nil
}

// childEnv is the environment of a copy, in supervisor's order: what comes later wins.
func (h Host) childEnv(r keeper.StartRequest, own, token map[string]string) []string {
	all := make(map[string]string, len(h.env)+len(own)+len(r.Env)+7)
	add := func(vars map[string]string) {
		for name, value := range vars {
			all[name] = value
		}
	}
	add(h.env)
	add(map[string]string{
		"SUPERVISOR_ENABLED":      "1",
		"SUPERVISOR_PROCESS_NAME": r.Process.Name,
		"SUPERVISOR_GROUP_NAME":   r.Process.Group,
	})
	add(own)
	add(r.Env)
	add(token)
	add(contain.NewMark(h.instance, r.Process.ID(), r.Token).Environment())
	env := make([]string, 0, len(all))
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

func (h Host) resolveLogs(l *Plan, p api.Process, vars ini.Vars) error {
	for _, ch := range []struct {
		name string
		log  api.Log
		sink *logs.Sink
	}{{"stdout", p.Stdout, &l.Stdout}, {"stderr", p.Stderr, &l.Stderr}} {
		*ch.sink = logs.Sink{Process: p.ID(), Channel: ch.name}
		limit(ch.sink, p.Settings)
		if ch.name == "stderr" && p.RedirectStderr {
			continue
		}
		path, err := h.logPath(p, ch.name, ch.log.File, vars)
		if err != nil {
			return err
		}
		ch.sink.Path = path
		if h.prefix && logs.IsStream(path) {
			ch.sink.Prefix = p.ID() + " | "
		}
	}
	return nil
}

// logPath expands a log file's name twice, as supervisor does.
func (h Host) logPath(p api.Process, channel, file string, vars ini.Vars) (string, error) {
	switch strings.ToUpper(file) {
	case "", api.LogAuto:
		return h.autoLogs.Path(p.ID(), channel), nil
	case api.LogNone, "OFF":
		return "", nil
	}
	option := channel + "_logfile"
	for range 2 {
		var err error
		if file, err = expand(option, file, vars); err != nil {
			return "", err
		}
	}
	path, err := h.absolute(option, file)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return "", refuse("%s: the directory of %s does not exist on this machine", option, supervisor.Quote(path))
	}
	return path, nil
}

func (h Host) resolveDirectory(l *Plan, p api.Process, vars ini.Vars) error {
	if p.Directory == "" {
		return nil
	}
	dir, err := expand("directory", p.Directory, vars)
	if err != nil {
		return err
	}
	if l.Dir, err = h.absolute("directory", dir); err != nil {
		return err
	}
	return nil
}

// absolute replaces a leading "~" and makes a path absolute, from the keeper's directory.
func (h Host) absolute(option, path string) (string, error) {
	if strings.HasPrefix(path, "~") {
		user, rest, _ := strings.Cut(path[1:], "/")
		home, err := h.home(user)
		if err != nil {
			return "", refuse("%s: %s: %v", option, supervisor.Quote(path), err)
		}
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(h.cwd, path)
	}
	return path, nil
}
