package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// defaultGroupPriority is that of a [group:x] which names none.
const defaultGroupPriority = 999

// groupKeys are the keys of [group:x].
var groupKeys = []string{"programs", "priority"}

// groups reads all [group:x] sections into member and grouped.
func (r *reader) groups() {
	for _, s := range r.file.Sections() {
		name, ok := strings.CutPrefix(s.Name, "group:")
		if !ok {
			continue
		}
		name = trimName(name)
		if err := ValidName("the name of a group", name); err != nil {
			r.fail(s, "", err)
			continue
		}
		if other, ok := r.grouped[name]; ok {
			r.failf(s, "", "the group %s is also [%s] of %s:%d", name, other.Name, other.File, other.Line)
			continue
		}
		r.grouped[name] = s
		r.group(s, api.Group{Name: name, Priority: r.groupPriority(s, name)})
	}
}

func (r *reader) groupPriority(s *ini.Section, name string) int {
	text, ok, err := r.groupValue(s, "priority", name)
	if !ok {
		return defaultGroupPriority
	}
	priority := defaultGroupPriority
	if err == nil {
		priority, err = ini.ParseInt(text)
	}
	r.fail(s, "priority", err)
	return priority
}

// group makes the programs that a section names members of g.
func (r *reader) group(s *ini.Section, g api.Group) {
	r.unknownOptions(s, groupKeys)
	text, ok, err := r.groupValue(s, "programs", g.Name)
	switch {
	case !ok:
		r.failf(s, "", "names no programs; write programs = a,b")
		return
	case err != nil:
		r.fail(s, "programs", err)
		return
	case text == "":
		r.warn(s, "programs", "is empty: the group has no processes")
	}
	for _, program := range ini.ParseList(text) {
		if err := r.join(s, program, g); err != nil {
			r.fail(s, "programs", err)
		}
	}
}

// join makes one program a member of a group.
func (r *reader) join(s *ini.Section, program string, g api.Group) error {
	_, known := r.at[program]
	section := "fcgi-program:" + program
	_, fcgi := r.file.Section(section)
	switch {
	case program == "":
		return errors.New("there is an extra comma; write programs = a,b")
	case known && fcgi:
		return fmt.Errorf("%s is ambiguous: there are [program:%s] and [%s]; rename one of the two", program, program, section)
	case fcgi:
		r.fcgiMember[section] = append(r.fcgiMember[section], g)
	case !known:
		return errors.New("there is no [program:" + program + "]" + suggestion(program, sortedKeys(r.at)))
	case slices.Contains(r.member[program], g):
		r.warn(s, "programs", "%s is named twice, which counts once", program)
	default:
		r.member[program] = append(r.member[program], g)
	}
	return nil
}

// groupNames looks for groups of one name, of which supervisor keeps one and drops the others without a word.
func (r *reader) groupNames() {
	first := map[string]*ini.Section{}
	claim := func(name string, s *ini.Section) {
		other := first[name]
		if first[name] = s; other == nil {
			return
		}
		r.failf(s, "", "the group %s is also that of [%s] in %s:%d, and only one of them can be; rename one of the two, or name the program in programs",
			name, other.Name, other.File, other.Line)
	}
	for _, s := range r.file.Sections() {
		kind, name, named := strings.Cut(s.Name, ":")
		name = trimName(name)
		own := kind == "program" && r.at[name] == s && len(r.member[name]) == 0 || kind == "fcgi-program" && len(r.fcgiMember[s.Name]) == 0
		if named && (own || kind == "group" && r.grouped[name] == s || kind == "eventlistener") {
			claim(name, s)
		}
	}
}

// groupValue returns the expanded value of a group's key.
func (r *reader) groupValue(s *ini.Section, key, group string) (text string, ok bool, err error) {
	v, ok := s.Get(key)
	if !ok {
		return "", false, nil
	}
	delete(r.vars, "program_name")
	r.vars["here"], r.vars["group_name"] = directory(v), group
	text, err = ini.Expand(v.Text, r.vars)
	var unknown *ini.UnknownNameError
	switch {
	case errors.As(err, &unknown):
		variable, isEnv := strings.CutPrefix(unknown.Name, "ENV_")
		if isEnv {
			err = errors.New("the environment variable " + variable + " is needed here, where the file is read, and it is not set")
		} else {
			err = errors.New("the name " + unknown.Name + " is not known; there are here, host_node_name, group_name and ENV_X for each variable X")
		}
	case err == nil && usesMachine(v.Text):
		r.note(s, key, "%q depends on the machine; it is expanded here and now, to %q", v.Text, text)
	}
	return text, true, err
}
