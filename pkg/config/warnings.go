package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// elsewhere are the sections of package spec; "program:" stands for every "program:x".
var elsewhere = []string{"include", "program:", "group:", "eventlistener:", "fcgi-program:"}

// ofSupervisor are supervisor's own sections, which a supervisord.conf may keep.
var ofSupervisor = []string{"supervisord", "supervisorctl", "unix_http_server", "inet_http_server", "rpcinterface:"}

// replaced tells what became of the sections of distsuper 0.2.
var replaced = map[string]string{
	"common":      "[etcd] says where the store is, [distsuperd] and [distsuperagent] have log settings of their own",
	"agent":       "[distsuperagent] has the machine's name, labels and limits; the machine's state is in etcd now",
	"server":      "[distsuperd] has the controller's settings; touch_timeout and max_fail_count stand in each [program:x]",
	"db":          "there is no database any more: [etcd] says where the store is, and without endpoints distsuperd runs an etcd of its own",
	"http":        "[distsuperd] http and [distsuperagent] http say where each of the two listens",
	"server-http": "[distsuperd] http says where distsuperd listens",
	"agent-http":  "[distsuperagent] http says where the agent listens; it is HTTPS and needs no password",
}

// warnings lists what in the file is not known, with the nearest thing that is.
func warnings(file *ini.File) []string {
	var out []string
	for _, s := range file.Sections() {
		known := keys(s.Name)
		if known == nil {
			if problem := sectionProblem(s.Name); problem != "" {
				out = append(out, fmt.Sprintf("%s:%d: [%s] %s", s.File, s.Line, s.Name, problem))
			}
			continue
		}
		for _, key := range s.Keys() {
			if s.Inherits(key) || slices.Contains(known, key) {
				continue
			}
			v, _ := s.Get(key)
			out = append(out, fmt.Sprintf("%s:%d: [%s] %s is not known and not used; %s", v.File, v.Line, s.Name, key, suggestKey(s.Name, key, known)))
		}
	}
	return out
}

// suggestKey says which key was probably meant, or where a key of that name belongs.
func suggestKey(section, key string, known []string) string {
	if near, ok := ini.Nearest(key, known); ok {
		return "did you mean " + near + "?"
	}
	for _, other := range sections() {
		if other != section && slices.Contains(keys(other), key) {
			return "it belongs in [" + other + "]"
		}
	}
	return "known here: " + strings.Join(known, ", ")
}

// sectionProblem says what is wrong with a section that the table does not have; "" is nothing.
func sectionProblem(name string) string {
	if what, ok := replaced[name]; ok {
		return "is of distsuper 0.2 and not used; " + what
	}
	for _, of := range ofSupervisor {
		if name == of || strings.HasSuffix(of, ":") && strings.HasPrefix(name, of) {
			return "is supervisord's own and not used; distsuper's daemons have [distsuperd] and [distsuperagent]"
		}
	}
	kind, _, named := strings.Cut(name, ":")
	for _, of := range elsewhere {
		switch {
		case name == of, named && kind+":" == of:
			return ""
		case !named && kind+":" == of:
			return "has no name and is not used; write [" + of + "name]"
		}
	}
	var known []string
	for _, s := range slices.Concat(sections(), elsewhere) {
		if strings.HasSuffix(s, ":") == named {
			known = append(known, strings.TrimSuffix(s, ":"))
		}
	}
	if near, ok := ini.Nearest(kind, known); ok && named {
		return "is not known and not used; did you mean [" + near + name[len(kind):] + "]?"
	} else if ok {
		return "is not known and not used; did you mean [" + near + "]?"
	}
	return "is not known and not used; known are [" + strings.Join(slices.Concat(sections(), []string{"program:x", "group:x", "include"}), "], [") + "]"
}
