package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

// legacySections says what replaced the sections of distsuper 0.2.
var legacySections = map[string]string{
	"common":      "[etcd] says where the store is, [distsuperd] and [distsuperagent] have log settings of their own",
	"agent":       "[distsuperagent] has the machine's name, labels and limits; the machine's state is in etcd now",
	"server":      "[distsuperd] has the controller's settings; touch_timeout and max_fail_count belong in each [program:x]",
	"db":          "there is no database any more: [etcd] says where the store is, and without endpoints distsuperd runs an etcd of its own",
	"http":        "[distsuperd] http and [distsuperagent] http say where each of the two listens",
	"server-http": "[distsuperd] http says where distsuperd listens",
	"agent-http":  "[distsuperagent] http says where the agent listens; it is HTTPS and needs no password",
}

// warnings lists what in the file is not known, with the nearest thing that is. Whoever loads programs is told
// as well what of supervisord's own settings a fleet does not follow.
func warnings(file *ini.File, program Program) []string {
	var out []string
	for _, s := range file.Sections() {
		known := keys(s.Name)
		if known == nil {
			if problem := sectionProblem(s.Name); problem != "" {
				// In the words of package spec, which tells of the same: whoever hears both says it once.
				out = append(out, spec.Remark{File: s.File, Line: s.Line, Section: s.Name, Text: problem}.String())
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
	if program == Ctl {
		for _, r := range spec.FleetRemarks(file) {
			out = append(out, r.String())
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
	if what, ok := legacySections[name]; ok {
		return "is from distsuper 0.2 and is not used; " + what
	}
	return spec.UnknownSection(name)
}
