package main

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/hack/docs"
)

func TestHelpPrintsEachTopicAndListsAll(t *testing.T) {
	run := func(args ...string) string {
		s := (&fleet{t: t}).session()
		if code := execute(t.Context(), s.ctl, args); code != exitOK {
			t.Errorf("%v: exit %d, %s", args, code, s.stderr)
		}
		return s.stdout.String()
	}
	list, offered := run("help"), run("__complete", "help", "")
	root := newRoot((&fleet{t: t}).session().ctl)
	for _, topic := range docs.Topics {
		if !strings.Contains(list, "\n"+topic.Name+" ") || !strings.Contains(offered, topic.Name+"\t"+topic.About) {
			t.Errorf("%s is not listed, or not offered", topic.Name)
		}
		page, _ := docs.Page(topic.Name)
		if out := run("help", topic.Name); out != docs.Text(page, pageWidth) {
			t.Errorf("help %s prints\n%s", topic.Name, out)
		}
		if cmd, _, err := root.Find([]string{topic.Name}); err == nil && cmd != root {
			t.Errorf("the command %s hides the topic", topic.Name)
		}
	}
	if out := run("help", "start"); !strings.Contains(out, "distsuperctl start NAME") {
		t.Errorf("help start prints\n%s", out)
	}
	if out := run("help", "nosuch"); out != "*** No help on nosuch\n" {
		t.Errorf("help nosuch prints %q", out)
	}
}
