// Package docs holds the documentation: one Markdown page a topic, read in the repository and printed by
// "distsuperctl help TOPIC".
//
// What code can say of itself stands between two markers in a page, and hack/docs/gen writes it there. Text makes a
// page fit for a terminal.
package docs

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.md
var pages embed.FS

// A Topic is a page for those who use distsuper.
type Topic struct {
	Name  string // of the page, without .md
	About string
}

// Topics are the pages in the order in which they are listed. The other pages are for those who work on distsuper.
var Topics = []Topic{
	{"solo", "one machine alone: distsuperd solo in place of supervisord, also as pid 1 of a container"},
	{"fleet", "join machines, use an etcd of your own, take machines out of service, upgrade"},
	{"keys", "the keys of [program:x]: default and meaning"},
	{"settings", "the daemons' settings: in distsuper.ini, as flags, in the environment"},
	{"environment", "the environment variables that distsuper reads, and those that a process gets"},
	{"commands", "all commands of the three programs; the shell, completion, JSON"},
	{"exit-codes", "what an exit code says"},
	{"safety", "what keeps a process from running twice; on_partition; limits"},
	{"etcd", "read what is in etcd: every key, who writes it, what it holds"},
	{"differences", "what differs from supervisor, and why"},
	{"figures", "how fast it is, and what it costs"},
	{"go-api", "use distsuper from a Go program"},
	{"release-notes", "what each release changed"},
}

// Page returns the Markdown of a topic; false when there is none of that name.
func Page(topic string) (string, bool) {
	for _, t := range Topics {
		if t.Name != topic {
			continue
		}
		text, err := pages.ReadFile(topic + ".md")
		return string(text), err == nil
	}
	return "", false
}

// The markers around a part that is printed by code.
const (
	beginMark = "<!-- generated: "
	endMark   = "<!-- end of generated -->"
)

// Fill returns a page with each part that is printed by code as part returns it, by the name in its marker. An unknown
// name and a marker without its end are errors.
func Fill(page string, part func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(page, beginMark)
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, rest, closed := strings.Cut(rest, " -->\n")
		_, after, ended := strings.Cut(rest, endMark)
		if !closed || !ended {
			return "", fmt.Errorf("the marker %q has no end", beginMark+name)
		}
		text, err := part(name)
		if err != nil {
			return "", err
		}
		b.WriteString(beginMark + name + " -->\n\n" + strings.TrimSpace(text) + "\n\n" + endMark)
		page = after
	}
}
