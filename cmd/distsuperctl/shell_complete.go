package main

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/ini"
)

// offer is what completion asked the store, good for some keys pressed one after the other.
type offer struct {
	snap *client.Snapshot
	at   time.Time
}

// offerFor is how long an answer is good: longer than a word is typed, shorter than a lunch.
const offerFor = 5 * time.Second

// complete completes the word before the cursor: what is before it, what it may become, and what is behind it.
func (s *shell) complete(line string, pos int) (head string, found []string, tail string) {
	runes := []rune(line)
	before, tail := string(runes[:pos]), string(runes[pos:])
	start := strings.LastIndexAny(before, " \t") + 1
	head = before[:start]
	words, err := ini.Split(head)
	if err != nil { // within quotes
		return head, nil, tail
	}
	return head, s.candidates(words, before[start:]), tail
}

// candidates asks the commands what may stand behind some words.
func (s *shell) candidates(words []string, word string) []string {
	s.c.json, s.c.interactive = s.json, true
	if len(words) > 0 && words[0] == "?" {
		words[0] = "help"
	}
	if !s.parses(words, word) {
		return nil
	}
	var out bytes.Buffer
	root := newRoot(s.c)
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(slices.Concat([]string{cobra.ShellCompNoDescRequestCmd}, s.flags, tailNumber(words), []string{word}))
	if root.ExecuteContext(context.Background()) != nil {
		return nil
	}
	found := strings.Split(strings.TrimSpace(out.String()), "\n")
	last := len(found) - 1
	directive, err := strconv.Atoi(strings.TrimPrefix(found[last], ":"))
	if err != nil {
		return nil
	}
	return offered(found[:last], word, cobra.ShellCompDirective(directive))
}

// parses makes sure that the library has nothing to complain about: it would do so in the middle of the line.
func (s *shell) parses(words []string, word string) bool {
	root := newRoot(s.c)
	root.SetErr(io.Discard)
	cmd, rest, err := root.Find(slices.Concat(s.flags, tailNumber(words)))
	if err != nil || strings.HasPrefix(word, "-") && strings.Contains(word, "=") {
		return false
	}
	if !strings.HasPrefix(word, "-") {
		rest = append(rest, "x")
	}
	return cmd.ParseFlags(rest) == nil
}

// offered are the candidates that begin like the word, each with what comes behind it.
func offered(found []string, word string, directive cobra.ShellCompDirective) []string {
	const noFiles = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveError
	end := " "
	if directive&cobra.ShellCompDirectiveNoSpace != 0 {
		end = ""
	}
	var out []string
	for _, f := range found {
		if strings.HasPrefix(f, word) && f != "" {
			out = append(out, f+end)
		}
	}
	if len(out) == 0 && directive&noFiles == 0 {
		return files(word)
	}
	return out
}

// files are those whose names begin like the word. Names that would need quotes are not offered.
func files(word string) []string {
	dir, base := filepath.Split(word)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || base == "" && name[0] == '.' || strings.ContainsAny(name, " \t\n'\"\\") {
			continue
		}
		if info, err := os.Stat(dir + name); err == nil && info.IsDir() {
			out = append(out, dir+name+string(filepath.Separator))
		} else {
			out = append(out, dir+name+" ")
		}
	}
	return out
}
