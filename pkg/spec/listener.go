package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// An EventListener is what an [eventlistener:x] section says. It does not run yet.
type EventListener struct {
	Program api.Program `json:"program"` // its one group is the pool
	Events  []string    `json:"events"`  // sorted, in capitals
	// BufferSize is how many events wait when all listeners are busy.
	BufferSize int `json:"buffer_size"`
}

// poolPriority is that of a pool which names none: the first to start and the last to stop.
const poolPriority = -1

// events are the names that a listener may ask for.
var events = []string{
	"EVENT", "PROCESS_COMMUNICATION", "PROCESS_COMMUNICATION_STDERR", "PROCESS_COMMUNICATION_STDOUT", "PROCESS_GROUP",
	"PROCESS_GROUP_ADDED", "PROCESS_GROUP_REMOVED", "PROCESS_LOG", "PROCESS_LOG_STDERR", "PROCESS_LOG_STDOUT",
	"PROCESS_STATE", "PROCESS_STATE_BACKOFF", "PROCESS_STATE_EXITED", "PROCESS_STATE_FATAL", "PROCESS_STATE_RUNNING",
	"PROCESS_STATE_STARTING", "PROCESS_STATE_STOPPED", "PROCESS_STATE_STOPPING", "PROCESS_STATE_UNKNOWN",
	"REMOTE_COMMUNICATION", "SUPERVISOR_STATE_CHANGE", "SUPERVISOR_STATE_CHANGE_RUNNING",
	"SUPERVISOR_STATE_CHANGE_STOPPING", "TICK", "TICK_3600", "TICK_5", "TICK_60",
}

// defaultHandler takes the answer OK of a listener for success, and is the only one here.
const defaultHandler = "supervisor.dispatchers:default_handler"

// listener reads an [eventlistener:x] section.
func (r *reader) listener(s *ini.Section, name string) {
	out := EventListener{BufferSize: 10}
	handler := ""
	extra := []option{
		{name: "events", form: "names such as PROCESS_STATE,TICK_60", required: true, set: into(&out.Events, parseEvents)},
		{name: "buffer_size", form: "a whole number of at least 1", set: into(&out.BufferSize, parseBufferSize)},
		{name: "result_handler", form: defaultHandler, set: into(&handler, anyString)},
	}
	p, ok := r.kindOfProgram(s, name, extra)
	if _, written := s.Get("priority"); !written && ok {
		p.Groups = []api.Group{{Name: p.Name, Priority: poolPriority}}
	} else {
		p.Groups = []api.Group{{Name: p.Name, Priority: p.Priority}}
	}
	if ok && p.RedirectStderr {
		r.failf(s, "redirect_stderr", "cannot be true: a listener speaks its protocol on stdout, and its errors would disturb it")
		return
	}
	if handler != "" && handler != defaultHandler {
		r.warn(s, "result_handler", "%s is not loaded: it is Python, and distsuper runs none", handler)
	}
	r.warn(s, "", "does not run: distsuper sends no supervisor events yet")
	if ok {
		out.Program = p
		r.listeners = append(r.listeners, out)
	}
}

// kindOfProgram reads a section that has all keys of a program and some more.
func (r *reader) kindOfProgram(s *ini.Section, name string, extra []option) (api.Program, bool) {
	kind, _, _ := strings.Cut(s.Name, ":")
	if err := ValidName("the name of an "+kind, name); err != nil {
		r.fail(s, "", err)
		return api.Program{}, false
	}
	before := len(r.errs)
	r.options(s, extra, ini.Vars{"program_name": name}, r.failAt(s))
	pr := &programReader{reader: r, section: s, bad: map[string]bool{}, extra: optionNames(extra), program: Defaults()}
	pr.program.Name, pr.program.Source, pr.program.Groups = name, r.settings.Source, r.fcgiMember[s.Name]
	p, ok := pr.read()
	return p, ok && len(r.errs) == before
}

func parseEvents(s string) ([]string, error) {
	var out []string
	for _, name := range ini.ParseList(s) {
		name = strings.ToUpper(name)
		switch {
		case name == "":
			return nil, fmt.Errorf("%q has an extra comma; write names such as PROCESS_STATE,TICK_60", s)
		case !slices.Contains(events, name):
			near, ok := ini.Nearest(name, events)
			if !ok {
				near = strings.Join(events, ", ")
			}
			return nil, fmt.Errorf("there is no event %s; did you mean %s?", name, near)
		}
		out = append(out, name)
	}
	if len(out) == 0 {
		return nil, errors.New("it is empty")
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func parseBufferSize(s string) (int, error) {
	n, err := ini.ParseInt(s)
	if err == nil && n < 1 {
		err = fmt.Errorf("%d is too small; write a whole number of at least 1", n)
	}
	return n, err
}
