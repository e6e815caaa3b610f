package docs

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextIsMadeForATerminal(t *testing.T) {
	for _, c := range []struct{ name, page, want string }{
		{"headings", "# All of it\n\n## Keys of [program:x]\n\n### The shell\n", "All of it\n=========\n\nKeys of [program:x]\n-------------------\n\nThe shell\n"},
		{"a paragraph", "one two\nthree four five six seven **eight** nine\n", "one two three four five six seven eight\nnine\n"},
		{"code is not broken", "one two three four five six `seven eight`\n", "one two three four five six\n`seven eight`\n"},
		{"a list", "Some:\n\n* one two three four five six seven eight\n  nine\n* ten\n1. eleven\n", "Some:\n\n* one two three four five six seven\n  eight nine\n* ten\n1. eleven\n"},
		{"a block", "Do:\n\n```\na   b  # c\n```\n\nThen.\n", "Do:\n\n    a   b  # c\n\nThen.\n"},
		{"links", "[Safety](safety.md), [unit](../x.service)\nand [etcd](https://etcd.io).\n", "Safety (`distsuperctl help safety`),\nunit and etcd (https://etcd.io).\n"},
		{"comments", "a\n\n<!-- generated: x -->\n\nb\n\n<!-- end of generated -->\n\nc\n", "a\n\nb\n\nc\n"},
		{"a narrow table", "| key | does |\n| --- | --- |\n| `a` | one \\| two |\n| `longer` | `x` and y |\n", "key     does\na       one | two\nlonger  `x` and y\n"},
		{"a wide column", "| k | does |\n| --- | --- |\n| `a` | one two three four five six seven eight nine | \n", "k  does\na  one two three four five six seven\n   eight nine\n"},
		{"a table that does not fit", "| what | ours | why |\n| --- | --- | --- |\n| a thing | does this and that all day | |\n| `b` | no | since it is so, and always was, you know |\n",
			"a thing\n  ours  does this and that all day\n\nb\n  ours  no\n  why   since it is so, and always was,\n        you know\n"},
	} {
		if got := Text(c.page, 40); got != c.want {
			t.Errorf("%s: it is\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// Property: no topic prints anything that is for a browser only, and nothing is wider than the terminal but examples
// and what has no space.
func TestEveryTopicFitsTheTerminal(t *testing.T) {
	for _, topic := range Topics {
		page, _ := Page(topic.Name)
		for _, width := range []int{60, 80, 100} {
			for line := range strings.Lines(Text(page, width)) {
				line = strings.TrimRight(line, "\n")
				if strings.Contains(line, "<!--") || strings.Contains(line, "](") || strings.HasPrefix(line, "|") || strings.HasPrefix(line, "#") {
					t.Errorf("%s: %q", topic.Name, line)
				}
				example := strings.HasPrefix(line, "    ")
				if utf8.RuneCountInString(line) > width && !example && len(words(line)) > 3 {
					t.Errorf("%s at %d columns: %q", topic.Name, width, line)
				}
			}
		}
	}
}
