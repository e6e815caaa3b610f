package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/build"
)

// bin is the programs that are asked for their help.
var bin = build.Folder{Names: programs}

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	defer bin.Remove()
	return m.Run()
}

func TestPagesAreWhatTheCodePrints(t *testing.T) {
	filled, err := pages(t.Context(), bin.Path(t), "..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range filled {
		if p.before != p.after {
			t.Errorf("%s is not what the code prints; run: make docs", p.name)
		}
	}
}

var (
	block = regexp.MustCompile("(?ms)^```\n(.*?)^```$")
	flags = regexp.MustCompile(`^(--?[a-z][a-z-]*)`)
)

// Property: every command that a page shows exists, with the flags that are shown.
func TestCommandsOnPagesExist(t *testing.T) {
	p := &printer{ctx: t.Context(), bin: bin.Path(t)}
	checked := 0
	for name, text := range documents(t) {
		for _, line := range shown(text) {
			if err := p.check(line); err != nil {
				t.Errorf("%s: %s: %v", name, strings.Join(line, " "), err)
			}
			checked++
		}
	}
	if checked < 30 {
		t.Errorf("found only %d commands on the pages", checked)
	}
}

// documents are the pages and READMEs by their files.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range append(names, "../../../README.md", "../../systemd/README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

// Property: every configuration that a page shows is one that distsuper takes, without a warning.
func TestConfigurationsOnPagesAreTaken(t *testing.T) {
	checked := 0
	for name, text := range documents(t) {
		for _, b := range block.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(b[1], "[") {
				continue
			}
			checked++
			file := filepath.Join(t.TempDir(), "distsuper.ini")
			if err := os.WriteFile(file, []byte(b[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), bin.Program(t, "distsuperctl"), "config", "check", file).CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), ", 0 warnings\n") {
				t.Errorf("%s shows\n%s\nbut config check says %v\n%s", name, b[1], err, out)
			}
		}
	}
	if checked < 4 {
		t.Errorf("found only %d configurations on the pages", checked)
	}
}

// shown are the commands of ours in the code blocks of a page and in its backquotes.
func shown(page string) [][]string {
	var out [][]string
	add := func(text string) {
		for _, program := range programs {
			if words := strings.Fields(text); len(words) > 1 && words[0] == program {
				out = append(out, words)
			}
		}
	}
	for _, b := range block.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(b[1]) {
			line, _, _ = strings.Cut(line, " #")
			for _, command := range strings.Split(line, "&&") {
				add(command)
			}
		}
	}
	for _, span := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(block.ReplaceAllString(page, ""), -1) {
		add(span[1])
	}
	return out
}

// check asks the program for help on the command, and looks for its flags there.
func (p *printer) check(line []string) error {
	help, err := p.help(line[0])
	if err != nil {
		return err
	}
	var path []string
	for words := line[1:]; len(words) > 0; words = words[1:] {
		word := words[0]
		if flag := flags.FindString(word); flag != "" {
			found, takesValue := offers(help, flag)
			if !found {
				return fmt.Errorf("there is no flag %s", flag)
			}
			if takesValue && len(words) > 1 && flag == word {
				words = words[1:]
			}
			continue
		}
		below := subcommands(help)
		if len(below) == 0 || strings.ToUpper(word) == word {
			continue // an argument
		}
		if !slices.ContainsFunc(below, func(sub [2]string) bool { return sub[0] == word }) {
			return fmt.Errorf("there is no command %s", word)
		}
		path = append(path, word)
		if help, err = p.help(line[0], path...); err != nil {
			return err
		}
	}
	return nil
}

// offers looks for a flag in a help text. The flag library writes "-c, --config FILE", solo "-c/--configuration FILENAME".
func offers(help, flag string) (found, takesValue bool) {
	m := regexp.MustCompile(`(?m)^ *(?:-\w[,/] ?)?` + regexp.QuoteMeta(flag) + `(?:[,/] ?--[\w-]+)?(?:( \S)|  |$)`).FindStringSubmatch(help)
	return m != nil, m != nil && m[1] != ""
}

func TestWhatDoesNotExistIsFound(t *testing.T) {
	p := &printer{ctx: t.Context(), bin: bin.Path(t)}
	for line, fault := range map[string]string{
		"distsuperctl -c x.ini status -w":   "",
		"distsuperctl start web --no-wait":  "",
		"distsuperctl strat web":            "command strat",
		"distsuperctl start web --now":      "flag --now",
		"distsuperctl init confg":           "command confg",
		"distsuperd solo -n -s -c x.conf":   "",
		"distsuperd solo --nodaemom":        "flag --nodaemom",
		"distsuperctl start web --no":       "flag --no",
		"distsuperctl machines forget m2":   "",
		"distsuperctl help TOPIC":           "",
		"distsuperagent stop --drain --all": "",
	} {
		if err := p.check(strings.Fields(line)); fault == "" && err != nil || fault != "" && !strings.HasSuffix(fmt.Sprint(err), fault) {
			t.Errorf("%s: %v, want %q", line, err, fault)
		}
	}
}

func TestTheGoProgramOnThePageCompiles(t *testing.T) {
	text, err := os.ReadFile("../go-api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(string(text), "```go\n")
	program, _, closed := strings.Cut(program, "```\n")
	if !found || !closed {
		t.Fatal("the page has no program")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}
