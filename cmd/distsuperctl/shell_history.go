package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/peterh/liner"

	"github.com/distsuper/distsuper/pkg/config"
)

// history is what was typed before, in a file that only its owner may read. Each line is added as it is typed, so that
// two shells at once, and one that is killed, lose nothing.
type history struct {
	path  string // "" keeps nothing
	lines []string
	warn  func(format string, args ...any)
}

// openHistory reads the history that the configuration names; nil is one that could not be read.
func openHistory(cfg *config.Config, warn func(format string, args ...any)) *history {
	h := &history{path: historyPath(cfg), warn: warn}
	if h.path == "" {
		return h
	}
	text, err := os.ReadFile(h.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.fail(err)
		return h
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && utf8.ValidString(line) {
			h.lines = append(h.lines, line)
		}
	}
	if over := len(h.lines) - liner.HistoryLimit; over > liner.HistoryLimit {
		h.lines = h.lines[over:]
		h.shorten()
	}
	return h
}

// historyPath is where the history is; "" is nowhere.
func historyPath(cfg *config.Config) string {
	switch {
	case cfg != nil && cfg.Ctl.HistoryFile == config.NoFile:
		return ""
	case cfg != nil && cfg.Ctl.HistoryFile != "":
		return cfg.Ctl.HistoryFile
	}
	return inStateFolder("history")
}

// inStateFolder is a file of distsuperctl's own state; "" where the user has no home.
func inStateFolder(name string) string {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // as its specification says
		home, err := os.UserHomeDir()
		if err != nil || home == "" {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "distsuper", name)
}

// add keeps a line, unless it is the one before again. One that begins with a space is private, as in a shell.
func (h *history) add(line string) bool {
	if strings.TrimSpace(line) == "" || line[0] == ' ' || !utf8.ValidString(line) {
		return false
	}
	if n := len(h.lines); n > 0 && h.lines[n-1] == line {
		return false
	}
	h.lines = append(h.lines, line)
	if h.path == "" {
		return true
	}
	if err := h.append(line + "\n"); err != nil {
		h.fail(err)
	}
	return true
}

func (h *history) append(text string) error {
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(h.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// shorten writes the file anew, with the last lines.
func (h *history) shorten() {
	f, err := os.CreateTemp(filepath.Dir(h.path), ".history-*") // for us alone to read
	if err != nil {
		h.fail(err)
		return
	}
	var text bytes.Buffer
	for _, line := range h.lines {
		text.WriteString(line + "\n")
	}
	_, err = f.Write(text.Bytes())
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), h.path)
	}
	if err != nil {
		os.Remove(f.Name())
		h.fail(err)
	}
}

// fail says once that the history is kept no longer.
func (h *history) fail(err error) {
	h.warn("warning: the history is not kept: %v; [distsuperctl] history_file names another file, or none", err)
	h.path = ""
}
