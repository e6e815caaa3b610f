package spec

import (
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// ofOthers are the sections that are read elsewhere, whatever they hold.
var ofOthers = []string{"etcd", "embedded-etcd", "distsuperd", "distsuperagent", "distsuperctl", "include", "supervisord"}

// former are those of distsuper 0.2, of which package config tells what replaced them.
var former = []string{"common", "agent", "server", "db", "http", "server-http", "agent-http"}

// ofSupervisor are those of supervisor's that have no name behind a colon, kinds those that have.
var (
	ofSupervisor = []string{"supervisorctl", unixServer, inetServer}
	kinds        = []string{"program", "group", "eventlistener", "fcgi-program", "rpcinterface", "ctlplugin"}
)

// otherSection warns of a section that nobody reads.
func (r *reader) otherSection(s *ini.Section) {
	if problem := UnknownSection(s.Name); problem != "" {
		r.unknown(s, "", "%s", problem)
	}
}

// UnknownSection says what is wrong with a section of that name; "" is nothing. Those of distsuper 0.2 are not
// its to tell of.
func UnknownSection(name string) string {
	kind, rest, named := strings.Cut(name, ":")
	switch {
	case slices.Contains(ofOthers, name), slices.Contains(ofSupervisor, name), slices.Contains(former, name):
		return ""
	case named && slices.Contains(kinds, kind), strings.HasPrefix(name, unixServer), strings.HasPrefix(name, inetServer):
		return ""
	case slices.Contains(kinds, kind):
		return "has no name and is not used; write [" + kind + ":name]"
	}
	known := kinds
	if !named {
		known = slices.Concat(ofOthers, ofSupervisor, kinds)
	}
	near, ok := ini.Nearest(kind, known)
	switch {
	case !ok:
		return "is not known and not used; programs belong in [program:x], groups in [group:x]"
	case named:
		return "is not known and not used; did you mean [" + near + ":" + rest + "]?"
	}
	return "is not known and not used; did you mean [" + near + "]?"
}

// unknownText says that a word is not known, and which one was probably meant.
func unknownText(word string, known []string) string {
	return "is not known and not used" + suggestion(word, known)
}

// suggestion names the nearest of the known words, or all if they are few; it begins with "; " or is empty.
func suggestion(word string, known []string) string {
	near, ok := ini.Nearest(word, known)
	switch {
	case ok:
		return "; did you mean " + near + "?"
	case slices.Contains(groupKeys, word):
		return "; it belongs in [group:x]"
	case slices.Contains(names(), word):
		return "; it belongs in [program:x]"
	case len(known) == 0 || len(known) > 12:
		return ""
	}
	return "; there are " + strings.Join(known, ", ")
}
