package main

import (
	"regexp"
	"strings"
	"testing"
)

// rules are what a native reader stumbles over, and can be found by looking.
var rules = []struct {
	name  string
	wrong *regexp.Regexp
	plant string
}{
	{"one word twice", regexp.MustCompile(`(?i)\b(the the|a a|an an|is is|of of|to to|in in|and and|it it|on on|for for|no no|not not)\b`), "it it stops"},
	{"cannot is one word", regexp.MustCompile(`(?i)\bcan not\b`), "it can not start"},
	{"a space before a comma", regexp.MustCompile(`\pL ,( |$)`), "it stops , and starts"},
	{"anew is of another century: again, or re-", regexp.MustCompile(`(?i)\banew\b`), "written anew"},
	{"own needs an owner: its own", regexp.MustCompile(`(?i)\bthe own\b`), "read the own cgroup"},
	{"is not a ...", regexp.MustCompile(`(?i)(%q|%s|%v|%d|…|\b(it|that|this|which)|\pL[’']s?) is no ([a-km-z]|l[a-np-z])[a-z]*`), "%q is no number"},
	{"them, or what they are", regexp.MustCompile(`(?i)\bthose that there are\b`), "it shows those that there are"},
	{"one copy, not 1 copies", regexp.MustCompile(`\b1 \pL+(sses|ies|ams|nes)\b`), "1 processes"},
	{"retrying, or trying again", regexp.MustCompile(`(?i)\bit is tried again\b`), "no answer; it is tried again"},
	{"the fleet does not learn of it", regexp.MustCompile(`(?i)\b(is|are) not told\b`), "what ends is not told"},
	{"re-: reopened, recreated, reloaded", regexp.MustCompile(`(?i)\b(made|opened) again\b`), "the file was made again"},
	{"given, set or belongs: text does not stand", regexp.MustCompile(`(?i)\b(programs|options?|keys?|values?|labels?) stands? (there|in)\b`), "programs stand in [program:x]"},
	{"an extra comma, unset", regexp.MustCompile(`(?i)(a comma too many|counts as not written|is not right\b)`), "it has a comma too many"},
	{"at least 2", regexp.MustCompile(`(?i)\bnumber from (\d+|%d) on\b`), "a whole number from 2 on"},
	{"American or British, but one: colour, behaviour", regexp.MustCompile(`(?i)\b(colors?|behaviors?|favor|honor)\b`), "in color"},
}

// TestSentencesReadWell looks at every sentence that a user can meet.
func TestSentencesReadWell(t *testing.T) {
	all, err := collect("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 1000 {
		t.Fatalf("only %d sentences were found", len(all))
	}
	for _, s := range all {
		for _, r := range rules {
			if r.wrong.MatchString(s.Text) {
				t.Errorf("%s:%d: %s: %q", s.File, s.Line, r.name, strings.TrimSpace(s.Text))
			}
		}
	}
}

func TestRulesFindWhatIsPlanted(t *testing.T) {
	for _, r := range rules {
		if !r.wrong.MatchString(r.plant) {
			t.Errorf("%s: nothing is found in %q", r.name, r.plant)
		}
		if r.wrong.MatchString("It stops the process; nothing else of its own is a problem, and there is no other.") {
			t.Errorf("%s: finds what is right", r.name)
		}
	}
}
