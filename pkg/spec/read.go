package spec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// DefaultSource is the source of a file's programs unless [distsuperctl] source names another.
const DefaultSource = "file"

// Options are what Read needs to know of the world.
type Options struct {
	Source string // of the programs; empty is DefaultSource
	// Environ and HostNode are the values of %(ENV_X)s and %(host_node_name)s where they are
	// expanded when the file is read.
	Environ  map[string]string
	HostNode string
	// LocalMachine is the name of the machine that localhost means. Without one, localhost is an error.
	LocalMachine string
	// StripANSI is supervisord's flag of the name: it counts as if [supervisord] said so.
	StripANSI bool
	// Strict makes an unknown key or section an error instead of a warning.
	Strict bool
	// Alone: the programs run on a machine that is alone, where touch_timeout means nothing.
	Alone bool
}

// A Result is what a file says about programs.
type Result struct {
	Programs []api.Program // normalized and valid, sorted by name
	// Warnings tell of what is probably not meant, in the order of the file.
	Warnings []Remark
	// Notes tell what was put into values when the file was read: what depended on the environment, and
	// the machine's name in place of localhost.
	Notes []Remark

	// What supervisord has besides programs, in the order of the file. Listeners and FastCGIs do not run yet,
	// plug-ins never will.
	Listeners []EventListener
	FastCGIs  []FastCGI
	Servers   []Server
	Ctl       *SupervisorCtl // nil without a [supervisorctl]
	Plugins   []Plugin
}

// A Remark is about a place in a file. Key is empty when it is about a section.
type Remark struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Section string `json:"section"`
	Key     string `json:"key,omitempty"`
	Text    string `json:"text"`
}

// String reads as "web.ini:3: [program:web] autostart: ...".
func (r Remark) String() string {
	return (&ini.Error{File: r.File, Line: r.Line, Section: r.Section, Key: r.Key, Err: errors.New(r.Text)}).Error()
}

// Read makes the programs of a file's [program:x] and [group:x] sections, and what supervisord's other sections
// say. It looks at every section, and
// its error joins one error for each thing that is wrong, each of which names file, line, section, key and what
// is accepted (an *ini.Error, with a *FieldError in it where Validate found the problem). With an error the result
// still has the warnings and notes, but no programs: a file is taken whole or not at all.
//
// Sections of the daemons and [supervisord] are skipped, but for the environment of the latter, which every
// program gets below its own, and its strip_ansi.
func Read(f *ini.File, o Options) (*Result, error) {
	r := newReader(f, o)
	r.shared()
	r.stripANSI()
	r.groups()
	for _, s := range f.Sections() {
		kind, name, named := strings.Cut(s.Name, ":")
		switch {
		case named && kind == "program":
			r.program(s, trimName(name))
		case named && kind == "group": // read before
		case named && kind == "eventlistener":
			r.listener(s, trimName(name))
		case named && kind == "fcgi-program":
			r.fastCGI(s, trimName(name))
		case named && kind == "rpcinterface":
			r.rpcInterface(s)
		case named && kind == "ctlplugin":
			r.ctlPlugin(s)
		case s.Name == "supervisorctl":
			r.supervisorctl(s)
		case strings.HasPrefix(s.Name, unixServer), strings.HasPrefix(s.Name, inetServer):
			r.server(s)
		default:
			r.otherSection(s)
		}
	}
	r.together()
	return r.result()
}

// reader is the state of one Read.
type reader struct {
	file     *ini.File
	settings Options
	vars     ini.Vars // of here, the host and the environment
	programs []api.Program
	at       map[string]*ini.Section // by program
	member   map[string][]api.Group  // by program
	grouped  map[string]*ini.Section // by group
	warnings []Remark
	notes    []Remark
	errs     []*ini.Error

	strip      bool                   // strip_ansi of [supervisord]
	common     map[string]string      // the environment of [supervisord], as templates
	fcgiMember map[string][]api.Group // by the name of the section
	listeners  []EventListener
	fastCGIs   []FastCGI
	servers    []Server
	ctl        *SupervisorCtl
	plugins    []Plugin
}

func newReader(f *ini.File, o Options) *reader {
	if o.Source == "" {
		o.Source = DefaultSource
	}
	r := &reader{file: f, settings: o, vars: ini.Vars{"host_node_name": o.HostNode},
		at: map[string]*ini.Section{}, member: map[string][]api.Group{}, grouped: map[string]*ini.Section{}, fcgiMember: map[string][]api.Group{}}
	for name, value := range o.Environ {
		r.vars["ENV_"+name] = value
	}
	for _, s := range f.Sections() {
		if name, ok := strings.CutPrefix(s.Name, "program:"); ok {
			r.at[trimName(name)] = s
		}
	}
	return r
}

// trimName does what supervisor does to names.
func trimName(name string) string { return strings.TrimSpace(name) }

func (r *reader) fail(s *ini.Section, key string, err error) {
	if err == nil {
		return
	}
	var placed *ini.Error
	if errors.As(s.Wrap(key, err), &placed) {
		r.errs = append(r.errs, placed)
	}
}

func (r *reader) failf(s *ini.Section, key, format string, args ...any) {
	r.fail(s, key, fmt.Errorf(format, args...))
}

func remark(s *ini.Section, key, format string, args ...any) Remark {
	out := Remark{File: s.File, Line: s.Line, Section: s.Name, Key: key, Text: fmt.Sprintf(format, args...)}
	if v, ok := s.Get(key); ok {
		out.File, out.Line = v.File, v.Line
	}
	return out
}

func (r *reader) warn(s *ini.Section, key, format string, args ...any) {
	r.warnings = append(r.warnings, remark(s, key, format, args...))
}

func (r *reader) note(s *ini.Section, key, format string, args ...any) {
	r.notes = append(r.notes, remark(s, key, format, args...))
}

// unknown is a warning, or an error when strict.
func (r *reader) unknown(s *ini.Section, key, format string, args ...any) {
	if r.settings.Strict {
		r.failf(s, key, format, args...)
		return
	}
	r.warn(s, key, format, args...)
}

// program reads one [program:x] section.
func (r *reader) program(s *ini.Section, name string) {
	if err := ValidName("the name of a program", name); err != nil {
		r.fail(s, "", err)
		return
	}
	if r.at[name] != s {
		r.failf(s, "", "the program %s is also [%s] of %s:%d", name, r.at[name].Name, r.at[name].File, r.at[name].Line)
		return
	}
	pr := &programReader{reader: r, section: s, bad: map[string]bool{}, program: Defaults()}
	pr.program.StripANSI = r.strip
	pr.program.Name, pr.program.Source, pr.program.Groups = name, r.settings.Source, r.member[name]
	if p, ok := pr.read(); ok {
		r.programs = append(r.programs, p)
	}
}

// together checks what can only be seen when all programs are known.
func (r *reader) together() {
	r.groupNames()
	var e *ConflictError
	if len(r.errs) == 0 && errors.As(Conflict(r.programs), &e) {
		r.fail(r.at[e.Programs[1]], "process_name", e)
	}
}

func (r *reader) result() (*Result, error) {
	files := r.file.Files()
	place := func(file string, line int) int { return slices.Index(files, file)<<32 + line }
	byPlace := func(a, b Remark) int { return cmp.Compare(place(a.File, a.Line), place(b.File, b.Line)) }
	slices.SortStableFunc(r.warnings, byPlace)
	slices.SortStableFunc(r.notes, byPlace)
	out := &Result{Warnings: r.warnings, Notes: r.notes}
	if len(r.errs) == 0 {
		out.Programs = r.programs
		out.Listeners, out.FastCGIs, out.Servers, out.Ctl, out.Plugins = r.listeners, r.fastCGIs, r.servers, r.ctl, r.plugins
		slices.SortFunc(out.Programs, func(a, b api.Program) int { return cmp.Compare(a.Name, b.Name) })
		return out, nil
	}
	slices.SortStableFunc(r.errs, func(a, b *ini.Error) int {
		return cmp.Or(cmp.Compare(place(a.File, a.Line), place(b.File, b.Line)), cmp.Compare(a.Error(), b.Error()))
	})
	errs := make([]error, len(r.errs))
	for i, e := range r.errs {
		errs[i] = e
	}
	return out, errors.Join(errs...)
}
