package spec

import (
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
)

// ofOthers are the sections that are not about programs: the daemons' and supervisord's own.
var ofOthers = []string{
	"etcd", "embedded-etcd", "distsuperd", "distsuperagent", "distsuperctl", "include",
	"supervisord", "supervisorctl", "unix_http_server", "inet_http_server",
}

// former are those of distsuper 0.2, of which package config tells what replaced them.
var former = []string{"common", "agent", "server", "db", "http", "server-http", "agent-http"}

// ofOthersNamed are such sections with a name behind a colon.
var ofOthersNamed = []string{"rpcinterface", "ctlplugin", "unix_http_server", "inet_http_server"}

// idle are supervisor's kinds of programs that we do not run, and why it matters.
var idle = map[string]string{
	"eventlistener": "does not run: distsuper sends no supervisor events",
	"fcgi-program":  "does not run: distsuper makes no FastCGI sockets",
}

// otherSection warns of a section that is neither of a program or group nor somebody else's.
func (r *reader) otherSection(s *ini.Section) {
	kind, name, named := strings.Cut(s.Name, ":")
	switch {
	case slices.Contains(ofOthers, s.Name), slices.Contains(former, s.Name), named && slices.Contains(ofOthersNamed, kind):
		return
	case named && idle[kind] != "":
		r.warn(s, "", "%s", idle[kind])
		return
	}
	kinds := []string{"program", "group", "eventlistener", "fcgi-program"}
	if !named {
		if slices.Contains(kinds, kind) {
			r.unknown(s, "", "has no name and is not used; write [%s:name]", kind)
			return
		}
		kinds = append(slices.Clone(ofOthers), kinds...)
	}
	near, ok := ini.Nearest(kind, kinds)
	switch {
	case !ok:
		r.unknown(s, "", "is not known and not used; programs stand in [program:x], groups in [group:x]")
	case named:
		r.unknown(s, "", "is not known and not used; did you mean [%s:%s]?", near, name)
	default:
		r.unknown(s, "", "is not known and not used; did you mean [%s]?", near)
	}
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
