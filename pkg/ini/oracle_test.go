package ini

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/gate"
)

// A question is a case for the oracle: what do Python and supervisor make of
// this text?
type question struct {
	Kind    string            `json:"kind"`
	Text    string            `json:"text"`
	Here    string            `json:"here,omitempty"`
	Environ map[string]string `json:"environ,omitempty"`
	Vars    Vars              `json:"vars,omitempty"`

	check func(t *testing.T, a answer)
}

type answer struct {
	Value json.RawMessage `json:"value"`
	Error string          `json:"error"`
}

// TestSupervisorReadsTheSame asks the installed supervisor about every case of
// the tables and about random texts, in one process. Where a row says that we
// differ (ours), supervisor has to differ, so that no note outlives its reason.
func TestSupervisorReadsTheSame(t *testing.T) {
	var questions []question
	questions = append(questions, grammarQuestions()...)
	questions = append(questions, expandQuestions()...)
	questions = append(questions, splitQuestions()...)
	questions = append(questions, environmentQuestions()...)
	questions = append(questions, valueQuestions()...)
	questions = append(questions, includeQuestions(t)...)
	answers := askOracle(t, questions)
	for i, q := range questions {
		q.check(t, answers[i])
	}
	t.Logf("%d questions", len(questions))
}

// askOracle runs testdata/oracle.py. Without supervisor it skips the test, but
// fails it where CI=true says that it should be there.
func askOracle(t *testing.T, questions []question) []answer {
	t.Helper()
	missing := func(reason string) { gate.Cannot(t, "no oracle: %s", reason) }
	if reason := noOracle(); reason != "" {
		missing(reason)
	}
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, filepath.Join("testdata", "oracle.py"))
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	var answers []answer
	if err := json.Unmarshal(output, &answers); err != nil || len(answers) != len(questions) {
		t.Fatalf("oracle: %d answers to %d questions, %v", len(answers), len(questions), err)
	}
	return answers
}

const python = "/usr/bin/python3"

// noOracle says why supervisor cannot be asked, "" when it can.
func noOracle() string {
	if _, err := os.Stat(python); err != nil {
		return err.Error()
	}
	if out, err := exec.Command(python, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('supervisor') is None)").CombinedOutput(); err != nil {
		return fmt.Sprintf("%s knows no supervisor: %s", python, out)
	}
	return ""
}

// same makes a check that our result, or our failure, is the oracle's; or that
// it is not, when ours gives a reason.
func same(kind, text string, got any, err error, ours string) func(*testing.T, answer) {
	return func(t *testing.T, a answer) {
		var differs string
		switch {
		case (err != nil) != (a.Error != ""):
			differs = fmt.Sprintf("ours %v, %v; theirs %s%s", got, err, a.Value, a.Error)
		case err == nil && !equalJSON(got, a.Value):
			differs = fmt.Sprintf("ours %q; theirs %s", got, a.Value)
		}
		if differs != "" && ours == "" {
			t.Errorf("%s %q: %s", kind, text, differs)
		}
		if differs == "" && ours != "" {
			t.Errorf("%s %q: supervisor does the same, though the table says: %s", kind, text, ours)
		}
	}
}

// equalJSON compares a Go value with JSON by their meaning.
func equalJSON(got any, want json.RawMessage) bool {
	text, err := json.Marshal(got)
	if err != nil {
		return false
	}
	var a, b any
	if json.Unmarshal(text, &a) != nil || json.Unmarshal(want, &b) != nil {
		return false
	}
	return fmt.Sprint(a) == fmt.Sprint(b) && fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b)
}

// sectionsOf returns what the oracle prints of a parser.
func sectionsOf(f *File) any {
	sections := []any{}
	if f == nil {
		return sections
	}
	for _, s := range f.Sections() {
		options := []any{}
		for _, key := range s.Keys() {
			v, _ := s.Get(key)
			options = append(options, []string{key, v.Text})
		}
		sections = append(sections, []any{s.Name, options})
	}
	return sections
}

// random returns count texts put together from pieces, the same in every run.
func random(seed int64, count, longest int, pieces ...string) []string {
	r := rand.New(rand.NewSource(seed))
	texts := make([]string, count)
	for i := range texts {
		for range 1 + r.Intn(longest) {
			texts[i] += pieces[r.Intn(len(pieces))]
		}
	}
	return texts
}

func grammarQuestions() []question {
	var qs []question
	ask := func(text, ours string) {
		f, err := Parse("x.ini", text)
		qs = append(qs, question{Kind: "parse", Text: text, check: same("parse", text, sectionsOf(f), err, ours)})
	}
	for _, c := range grammarCases {
		ask(c.input, c.ours)
	}
	for _, text := range random(1, 3000, 14, "[a]\n", "[b]", "[DEFAULT]\n", "[", "]", "k=v", "K : w", "k=\n", "l", "\n", "\n", "\n", "\r\n", "\r", "\n ", "\n  ", "\n\t",
		" ", ";", "#", " ;", " #", "=", ":", "x", "%(s", "\u00a0", "\x1c", "\u0085", "\u2028", "\f") {
		text = "[s]\n" + text
		if f, err := Parse("x.ini", text); err != nil && f == nil && strings.Contains(err.Error(), "no closing bracket") {
			continue // ours, see the table
		}
		ask(text, "")
	}
	return qs
}

func expandQuestions() []question {
	var qs []question
	ask := func(template, ours string) {
		got, err := Expand(template, expandVars)
		qs = append(qs, question{Kind: "expand", Text: template, Vars: expandVars, check: same("expand", template, got, err, ours)})
	}
	for _, c := range expandCases {
		ask(c.template, c.ours)
	}
	r := rand.New(rand.NewSource(2))
	pick := func(options ...string) string { return options[r.Intn(len(options))] }
	for range 4000 {
		name := pick("here", "program_name", "process_num", "negative", "zero", "big", "ENV_ODD", "x", "ENV_APOS", "process_num", "negative", "big")
		flags := pick("", "", "0", "-", "+", " ", "#", "-0", "+0", "#0", "- #", "0+#")
		width := pick("", "", "1", "5", "12")
		precision := pick("", "", ".", ".0", ".1", ".3", ".8")
		verb := pick("d", "i", "u", "o", "x", "X", "e", "E", "f", "F", "g", "G", "c", "r", "s", "a", "%", "s", "d", "ld", "hx", "y", "")
		ask("<%("+name+")"+flags+width+precision+verb+">", "")
	}
	return qs
}

func splitQuestions() []question {
	var qs []question
	ask := func(command string) {
		got, err := Split(command)
		check := same("split", command, got, err, "")
		if err != nil {
			check = func(t *testing.T, a answer) {
				if want := "ValueError: " + err.Error(); a.Error != want {
					t.Errorf("split %q: ours %q; theirs %s%s", command, want, a.Value, a.Error)
				}
			}
		}
		if got == nil {
			check = same("split", command, []string{}, err, "")
		}
		qs = append(qs, question{Kind: "split", Text: command, check: check})
	}
	for _, c := range splitCases {
		ask(c.command)
	}
	for _, command := range random(3, 3000, 12, "a", "b", " ", "\t", "\n", "\r", `"`, "'", `\`, `\"`, `\'`, "#", ";", "$", "\u00a0", "\v", "\u6f22") {
		ask(command)
	}
	return qs
}

// environmentQuestions hold us to less on random texts: what we take must be
// what supervisor takes, but we may refuse more.
func environmentQuestions() []question {
	var qs []question
	ask := func(text, ours string, strict bool) {
		e, err := parsePlainEnvironment(text)
		pairs := [][]string{}
		for _, v := range e {
			pairs = append(pairs, []string{v.Name, v.Value})
		}
		check := same("environment", text, pairs, err, ours)
		if err != nil && !strict {
			check = func(*testing.T, answer) {}
		}
		qs = append(qs, question{Kind: "environment", Text: text, check: check})
	}
	for _, c := range environmentCases {
		ask(c.text, c.ours, true)
	}
	for _, text := range random(4, 6000, 12, "A", "b", "1", "=", "=", ",", ",", ";", " ", "\n", `"`, "'", `\`, "A=", "B=", "A=x", `B="y z"`, "$", "/", ".", "-", "\u00e9", "\u00d7", "\u6f22") {
		ask(text, "", false)
	}
	return qs
}

func valueQuestions() []question {
	var qs []question
	for _, c := range valueCases {
		got, err := valueKinds[c.kind](c.text)
		switch v := got.(type) {
		case Autorestart:
			got = v.String()
		case []int, []string:
			if fmt.Sprint(v) == "[]" {
				got = []int{}
			}
		}
		check := same(c.kind, c.text, got, err, c.ours)
		if c.kind == "signal" && err == nil {
			check = checkSignal(c.text, got.([]any))
		}
		qs = append(qs, question{Kind: c.kind, Text: c.text, check: check})
	}
	for _, s := range signals {
		signal, _ := ParseSignal(s.Name)
		qs = append(qs, question{Kind: "signal", Text: s.Name, check: checkSignal(s.Name, []any{signal.Name, signal.Number})})
	}
	return qs
}

func checkSignal(text string, got []any) func(*testing.T, answer) {
	return same("signal", text, []any{"SIG" + got[0].(string), got[1]}, nil, "")
}

func includeQuestions(t *testing.T) []question {
	var qs []question
	for _, c := range includeCases {
		dir := plant(t, c.tree)
		root := filepath.Join(dir, "root.ini")
		f, err := Load(root, Options{Environ: includeEnviron, HostNode: "host"})
		qs = append(qs, question{Kind: "load", Text: root, Here: dir, Environ: maps.Clone(includeEnviron),
			check: same("load", c.name, sectionsOf(f), err, c.ours)})
	}
	return qs
}
