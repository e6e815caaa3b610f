package parity

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

// A reading is what a configuration says, in the same words for both sides.
type reading struct {
	Refused string   `json:"refused"`
	Groups  []group  `json:"groups"`
	Servers []server `json:"servers"`
	Daemon  daemon   `json:"daemon"`
}

// A daemon is [supervisord], but for its environment, which is in the processes.
type daemon struct {
	Logfile         string `json:"logfile"`
	LogfileMaxBytes int64  `json:"logfile_maxbytes"`
	LogfileBackups  int    `json:"logfile_backups"`
	Loglevel        int    `json:"loglevel"`
	Pidfile         string `json:"pidfile"`
	Umask           int    `json:"umask"`
	Nodaemon        bool   `json:"nodaemon"`
	Silent          bool   `json:"silent"`
	Minfds          int    `json:"minfds"`
	Minprocs        int    `json:"minprocs"`
	Nocleanup       bool   `json:"nocleanup"`
	Childlogdir     string `json:"childlogdir"`
	StripANSI       bool   `json:"strip_ansi"`
	Identifier      string `json:"identifier"`
	User            string `json:"user"`
	Directory       string `json:"directory"`
}

// daemonOf is what distsuperd solo reads of [supervisord].
func daemonOf(file *ini.File, strict bool) (daemon, error) {
	isDir := func(path string) bool {
		info, err := os.Stat(path)
		return !strict || err == nil && info.IsDir()
	}
	s, _, err := spec.ReadSupervisord(file, spec.Options{Environ: environ, HostNode: host},
		spec.Paths{IsDir: isDir, Home: func(string) (string, error) { return home, nil }, TempDir: os.TempDir()}, nil)
	return daemon{Logfile: s.Logfile, LogfileMaxBytes: s.LogfileMaxBytes, LogfileBackups: s.LogfileBackups, Loglevel: int(s.Loglevel),
		Pidfile: s.Pidfile, Umask: s.Umask, Nodaemon: s.Nodaemon, Silent: s.Silent, Minfds: s.Minfds, Minprocs: s.Minprocs,
		Nocleanup: s.Nocleanup, Childlogdir: s.Childlogdir, StripANSI: s.StripANSI, Identifier: s.Identifier, User: s.User, Directory: s.Directory}, err
}

type group struct {
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	Priority   int       `json:"priority"`
	Processes  []process `json:"processes"`
	Events     []string  `json:"events"`
	BufferSize int       `json:"buffer_size"`
	Socket     string    `json:"socket"`
	Backlog    int       `json:"backlog"`
	Owner      string    `json:"owner"`
	Mode       int       `json:"mode"`
}

type process struct {
	Name           string            `json:"name"`
	Command        string            `json:"command"`
	Directory      string            `json:"directory"`
	Umask          string            `json:"umask"`
	Priority       int               `json:"priority"`
	Autostart      bool              `json:"autostart"`
	Autorestart    string            `json:"autorestart"`
	StartSecs      int               `json:"startsecs"`
	StartRetries   int               `json:"startretries"`
	StopSignal     string            `json:"stopsignal"`
	StopWaitSecs   int               `json:"stopwaitsecs"`
	StopAsGroup    bool              `json:"stopasgroup"`
	KillAsGroup    bool              `json:"killasgroup"`
	ExitCodes      []int             `json:"exitcodes"`
	RedirectStderr bool              `json:"redirect_stderr"`
	User           string            `json:"user"`
	Environment    map[string]string `json:"environment"`
	Stdout         log               `json:"stdout"`
	Stderr         log               `json:"stderr"`
	ServerURL      string            `json:"serverurl"`
}

type log struct {
	File     string `json:"file"`
	MaxBytes int64  `json:"maxbytes"`
	Backups  int    `json:"backups"`
	Syslog   bool   `json:"syslog"`
}

type server struct {
	Section  string `json:"section"`
	File     string `json:"file"`
	Mode     int    `json:"mode"`
	Owner    string `json:"owner"`
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// sorted puts a reading in the one order in which readings are compared. Both sides start a group's processes by
// priority, so that the order of equal ones means nothing.
func (r reading) sorted() reading {
	slices.SortFunc(r.Groups, func(a, b group) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind)) })
	for _, g := range r.Groups {
		slices.SortFunc(g.Processes, func(a, b process) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Command, b.Command)) })
	}
	slices.SortFunc(r.Servers, func(a, b server) int { return cmp.Compare(a.Section, b.Section) })
	return r
}

// ours is what distsuper makes of a file, with the processes as they are on a machine of the oracle's environment.
func ours(t *testing.T, path string, strict bool) reading {
	t.Helper()
	file, err := ini.Load(path, ini.Options{Environ: environ, HostNode: host})
	if err != nil {
		return reading{Refused: err.Error()}
	}
	result, err := spec.Read(file, spec.Options{Environ: environ, HostNode: host})
	if err != nil {
		return reading{Refused: err.Error()}
	}
	m := &merger{groups: map[string]*group{}}
	for _, p := range result.Programs {
		m.add(group{Kind: "program"}, p)
	}
	for _, l := range result.Listeners {
		m.add(group{Kind: "eventlistener", Events: l.Events, BufferSize: l.BufferSize}, l.Program)
	}
	for _, f := range result.FastCGIs {
		if len(f.Program.Groups) > 0 { // as a member of a group it is a program like any other
			m.add(group{Kind: "program"}, f.Program)
			continue
		}
		g := group{Kind: "fcgi-program", Socket: f.Socket, Backlog: f.Backlog, Owner: f.Owner, Mode: f.Mode}
		if strings.HasPrefix(f.Socket, "unix:") && f.Owner == "" && f.Program.User != "" {
			g.Owner = f.Program.User + ":its group"
		}
		m.add(g, f.Program)
	}
	if m.err != nil {
		return reading{Refused: m.err.Error()}
	}
	var out reading
	if out.Daemon, err = daemonOf(file, strict); err != nil {
		return reading{Refused: err.Error()}
	}
	for _, g := range m.groups {
		out.Groups = append(out.Groups, *g)
	}
	for _, s := range result.Servers {
		x := server{Section: s.Section, File: s.File, Owner: s.Owner, Host: s.Host, Port: s.Port, Username: s.Username, Password: s.Password}
		if x.File != "" {
			x.Mode, x.File = s.Mode, atHome(x.File)
		}
		out.Servers = append(out.Servers, x)
	}
	return out.sorted()
}

// merger puts the processes of programs into their groups.
type merger struct {
	groups map[string]*group
	err    error
}

func (m *merger) add(like group, program api.Program) {
	processes, err := spec.Processes(program)
	if err != nil {
		m.err = err
		return
	}
	for _, p := range processes {
		key := like.Kind + ":" + p.Group
		if m.groups[key] == nil {
			g := like
			g.Name, g.Priority = p.Group, p.GroupPriority
			m.groups[key] = &g
		}
		seen, err := onTheMachine(p)
		if err != nil {
			m.err = err
			return
		}
		seen.Autostart, seen.ServerURL = program.Autostart, program.ServerURL
		if _, own := program.Environment[serverURL]; !own {
			delete(seen.Environment, serverURL) // which supervisor adds at the start
		}
		m.groups[key].Processes = append(m.groups[key].Processes, seen)
	}
}

const serverURL = "SUPERVISOR_SERVER_URL"

// onTheMachine expands what the keeper expands.
func onTheMachine(p api.Process) (process, error) {
	vars := ini.Vars{"host_node_name": host}
	var failed error
	expand := func(template string) string {
		s, err := ini.Expand(template, vars)
		if err != nil {
			failed = err
		}
		return s
	}
	for name, value := range environ {
		vars["ENV_"+name] = value
	}
	environment := map[string]string{}
	for name, value := range p.Environment {
		environment[name] = expand(value)
	}
	for name, value := range environment {
		vars["ENV_"+name] = value
	}
	channel := func(l api.Log) log {
		return log{File: atHome(expand(expand(l.File))), MaxBytes: l.MaxBytes, Backups: l.Backups, Syslog: l.Syslog}
	}
	out := process{Name: p.Name, Command: expand(p.Command), Directory: expand(p.Directory), Priority: p.Priority,
		Autorestart: string(p.Autorestart), StartSecs: p.StartSecs, StartRetries: p.StartRetries, StopSignal: p.StopSignal,
		StopWaitSecs: p.StopWaitSecs, StopAsGroup: p.StopAsGroup, KillAsGroup: p.KillAsGroup, ExitCodes: p.ExitCodes,
		RedirectStderr: p.RedirectStderr, User: expand(p.User), Environment: environment, Stdout: channel(p.Stdout), Stderr: channel(p.Stderr)}
	if p.Umask != nil {
		out.Umask = fmt.Sprintf("0o%o", *p.Umask)
	}
	return out, failed
}

// atHome expands a "~" as both sides do.
func atHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return home + "/" + rest
	}
	return path
}

// compare returns every difference between two readings; that both refuse is none, whatever their words.
func compare(ours, theirs reading) []string {
	if (ours.Refused != "") != (theirs.Refused != "") {
		return []string{fmt.Sprintf("ours: %s\ntheirs: %s", verdict(ours), verdict(theirs))}
	}
	if ours.Refused != "" {
		return nil
	}
	a, b := flat(ours), flat(theirs)
	all := maps.Clone(a)
	maps.Copy(all, b)
	var out []string
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if a[path] != b[path] {
			out = append(out, fmt.Sprintf("%s: ours %s, theirs %s", path, orNothing(a[path]), orNothing(b[path])))
		}
	}
	return out
}

func verdict(r reading) string {
	if r.Refused != "" {
		return "refused: " + r.Refused
	}
	return fmt.Sprintf("taken: %+v", r.Groups)
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// flat is a reading as the leaves of its JSON, by their paths.
func flat(r reading) map[string]string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		panic(err)
	}
	out := map[string]string{}
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch n := node.(type) {
		case map[string]any:
			for key, child := range n {
				walk(path+"."+key, child)
			}
		case []any:
			for i, child := range n {
				walk(fmt.Sprintf("%s[%d]", path, i), child)
			}
		case nil: // an empty list
		default:
			out[path] = fmt.Sprintf("%#v", n)
		}
	}
	walk("", tree)
	return out
}
