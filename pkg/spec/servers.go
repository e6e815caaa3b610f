package spec

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// A Server is one that supervisor's XML-RPC and web pages are served by: a [unix_http_server] or
// [inet_http_server] section, either of which may have a suffix, so that there may be several.
type Server struct {
	Section string `json:"section"`
	// File is the socket of a unix server, empty for inet; a leading "~" and what is relative are left.
	File  string `json:"file,omitempty"`
	Mode  int    `json:"mode,omitempty"`  // of the socket
	Owner string `json:"owner,omitempty"` // user or user:group; "" is whoever makes it
	// Host and Port are where an inet server listens; no host is every interface.
	Host string `json:"host,omitempty"`
	Port int    `json:"port,omitempty"`
	// Both or neither. A password may be {SHA} and the hexadecimal SHA-1 of it.
	Username string `json:"username,omitempty"`
	Password string `json:"-"`
}

// SupervisorCtl is the [supervisorctl] section, with supervisor's defaults.
type SupervisorCtl struct {
	ServerURL   string `json:"serverurl"`
	Username    string `json:"username,omitempty"`
	Password    string `json:"-"`
	Prompt      string `json:"prompt"`
	HistoryFile string `json:"history_file,omitempty"`
}

// A Plugin is an [rpcinterface:x] or [ctlplugin:x] section. Its factory is Python, which nothing here runs.
type Plugin struct {
	Section string `json:"section"`
	Factory string `json:"factory"`
}

const (
	unixServer = "unix_http_server"
	inetServer = "inet_http_server"
)

// server reads a section of either kind.
func (r *reader) server(s *ini.Section) {
	out := Server{Section: s.Name, Mode: 0o700}
	before := len(r.errs)
	list := []option{
		{name: "username", form: "a name", set: into(&out.Username, anyString)},
		{name: "password", form: "a password, or {SHA} and its SHA-1 in hexadecimal", set: into(&out.Password, anyString)},
	}
	if strings.HasPrefix(s.Name, unixServer) {
		list = append([]option{
			{name: "file", form: "the path of a socket", required: true, set: into(&out.File, parseSocketFile)},
			{name: "chmod", form: "an octal number, as 0700", set: into(&out.Mode, parseMode)},
			{name: "chown", form: "user or user:group", set: into(&out.Owner, parseOwner)},
		}, list...)
	} else {
		list = append([]option{{name: "port", form: "a port, or host:port", required: true, set: func(text string) (err error) {
			out.Host, out.Port, err = ini.ParseHostPort(text)
			return err
		}}}, list...)
	}
	r.options(s, list, nil, r.failAt(s))
	r.unknownOptions(s, optionNames(list))
	r.authentication(s, out.Password)
	if len(r.errs) == before {
		r.servers = append(r.servers, out)
	}
}

var shaPassword = regexp.MustCompile(`^\{SHA\}[0-9a-fA-F]{40}$`)

// authentication looks at username and password together.
func (r *reader) authentication(s *ini.Section, password string) {
	_, username := s.Get("username")
	_, hasPassword := s.Get("password")
	switch {
	case username && !hasPassword:
		r.failf(s, "username", "has no password beside it; write both or neither")
	case hasPassword && !username:
		r.failf(s, "password", "has no username beside it; write both or neither")
	case strings.HasPrefix(password, "{SHA}") && !shaPassword.MatchString(password):
		r.warn(s, "password", "no password can match it: {SHA} must be followed by the 40 hexadecimal digits of a SHA-1")
	}
}

func parseSocketFile(s string) (string, error) {
	if s = strings.TrimSpace(s); s == "" {
		return "", errors.New("it is empty")
	}
	return s, nil
}

// supervisorctl reads [supervisorctl]. Its problems are warnings: supervisord takes no notice of it, so that a
// file which serves it well may have any.
func (r *reader) supervisorctl(s *ini.Section) {
	out := SupervisorCtl{ServerURL: "http://localhost:9001", Prompt: "supervisor"}
	list := []option{
		{name: "serverurl", form: "http://host:port or unix:///path", set: into(&out.ServerURL, parseCtlURL)},
		{name: "username", form: "a name", set: into(&out.Username, anyString)},
		{name: "password", form: "a password", set: into(&out.Password, anyString)},
		{name: "prompt", form: "a word", set: into(&out.Prompt, anyString)},
		{name: "history_file", form: "a path", set: into(&out.HistoryFile, anyString)},
	}
	r.options(s, list, nil, func(key string, err error) { r.warn(s, key, "is not used: %v", err) })
	r.unknownOptions(s, optionNames(list))
	r.ctl = &out
}

func parseCtlURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "" && u.Path == "", u.Scheme != "http" && u.Scheme != "unix":
		return "", fmt.Errorf("not an address of supervisor: %q; write http://host:port or unix:///path", s)
	}
	return s, nil
}

// mainInterface is what publishes supervisor's own methods.
const mainInterface = "supervisor.rpcinterface:make_main_rpcinterface"

// rpcInterface reads an [rpcinterface:x] section.
func (r *reader) rpcInterface(s *ini.Section) {
	const key = "supervisor.rpcinterface_factory"
	out := Plugin{Section: s.Name}
	list := []option{{name: key, form: mainInterface, required: true, set: into(&out.Factory, anyString)}}
	for _, other := range s.Keys() { // what else there is goes to the factory, and has to expand
		if other != key {
			list = append(list, option{name: other, set: func(string) error { return nil }})
		}
	}
	r.options(s, list, nil, r.failAt(s))
	if out.Factory != "" && out.Factory != mainInterface {
		r.warn(s, key, "%s is not loaded: it is Python, and distsuper runs none", out.Factory)
	}
	r.plugins = append(r.plugins, out)
}

// ctlPlugin reads a [ctlplugin:x] section, of which only supervisorctl takes notice.
func (r *reader) ctlPlugin(s *ini.Section) {
	out := Plugin{Section: s.Name}
	list := []option{{name: "supervisor.ctl_factory", form: "module:callable", required: true, set: into(&out.Factory, anyString)}}
	r.options(s, list, nil, func(key string, err error) { r.warn(s, key, "is not used: %v", err) })
	if out.Factory != "" {
		r.warn(s, "supervisor.ctl_factory", "%s is not loaded: it is Python, and distsuper runs none", out.Factory)
	}
	r.plugins = append(r.plugins, out)
}

// ServedAt reports whether supervisorctl would reach the daemon of a file at a URL: one of its servers is there, or its
// [supervisorctl] says so. A section that is wrong says nothing.
func ServedAt(f *ini.File, o Options, address string) bool {
	r := newReader(f, o)
	for _, s := range f.Sections() {
		switch {
		case strings.HasPrefix(s.Name, unixServer), strings.HasPrefix(s.Name, inetServer):
			r.server(s)
		case s.Name == "supervisorctl":
			r.supervisorctl(s)
		}
	}
	known := []string{}
	if r.ctl != nil {
		known = append(known, r.ctl.ServerURL)
	}
	for _, s := range r.servers {
		if s.File != "" {
			known = append(known, "unix://"+s.File)
		} else {
			known = append(known, fmt.Sprintf("http://%s:%d", cmp.Or(s.Host, "localhost"), s.Port))
		}
	}
	return slices.ContainsFunc(known, func(k string) bool { return plainAddress(k) == plainAddress(address) })
}

// plainAddress is one spelling of a URL of supervisor's.
func plainAddress(address string) string {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		return "unix://" + filepath.Clean(path)
	}
	return strings.Replace(strings.ToLower(strings.TrimRight(address, "/")), "://127.0.0.1:", "://localhost:", 1)
}
