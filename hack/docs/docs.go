// Package docs holds the documentation: one Markdown page a topic, read in the repository and printed by
// "distsuperctl help TOPIC".
//
// Some parts of pages are written by programs (Fill): hack/docs/gen writes what code says of itself, hack/failover and
// hack/benchcore write what they measured. Text makes a page fit for a terminal.
package docs

import (
	"embed"
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
	{"token", "what a program can do itself so that nothing happens twice: Go, Python, shell, SQL"},
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
