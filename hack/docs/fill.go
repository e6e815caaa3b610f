package docs

import (
	"fmt"
	"os"
	"strings"
)

// The kinds of parts that programs write: what code says of itself, and what was measured.
const (
	Generated = "generated"
	Measured  = "measured"
)

// Fill returns a page with new texts in its parts of a kind. Each stands between two markers:
//
//	<!-- generated: keys in etcd -->
//	<!-- end of generated -->
//
// part returns the new text of a part by its name and old text. A marker without its end is an error.
func Fill(page, kind string, part func(name, old string) (string, error)) (string, error) {
	begin, end := "<!-- "+kind+": ", "<!-- end of "+kind+" -->"
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(page, begin)
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, rest, closed := strings.Cut(rest, " -->\n")
		old, after, ended := strings.Cut(rest, end)
		if !closed || !ended {
			return "", fmt.Errorf("the marker %q has no end", begin+name)
		}
		text, err := part(name, old)
		if err != nil {
			return "", err
		}
		b.WriteString(begin + name + " -->\n\n" + strings.TrimSpace(text) + "\n\n" + end)
		page = after
	}
}

// WriteFigures puts what was measured into the part of a page that has this name.
func WriteFigures(file, name, figures string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	found := false
	text, err := Fill(string(page), Measured, func(part, old string) (string, error) {
		if part != name {
			return old, nil
		}
		found = true
		return figures, nil
	})
	if err == nil && !found {
		err = fmt.Errorf("it has no part for the figures of %s", name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
