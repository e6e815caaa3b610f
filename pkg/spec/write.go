package spec

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// nothing expands to nothing when a file is read. It keeps the white space and the comment marks beside it
// from being taken for layout.
const nothing = "%(here).0s"

// Write prints programs as the sections of a file that Read makes the same programs of (Normalize of them,
// of the source that Read is told). Keys with their default values are left out. It fails, having written
// nothing, on a value that no file can hold, which are those with a carriage return, and on programs that disagree
// about the priority of a group.
func Write(w io.Writer, programs ...api.Program) error {
	programs = slices.Clone(programs)
	slices.SortStableFunc(programs, func(a, b api.Program) int { return cmp.Compare(a.Name, b.Name) })
	var b ini.Builder
	for _, p := range programs {
		if err := writeProgram(&b, Normalize(p)); err != nil {
			return fmt.Errorf("write program %s: %w", p.Name, err)
		}
	}
	if err := writeGroups(&b, programs); err != nil {
		return err
	}
	text, err := b.Text()
	if err != nil {
		return fmt.Errorf("write programs: %w", err)
	}
	_, err = io.WriteString(w, text)
	return err
}

func writeProgram(b *ini.Builder, p api.Program) error {
	b.Section("program:" + p.Name)
	defaults := Normalize(Defaults())
	for _, k := range table {
		text, err := k.get(p)
		if err != nil {
			return err
		}
		usual, err := k.get(defaults)
		if err != nil {
			return err
		}
		if text == usual && !k.Required || skipped(p, k.Name) {
			continue
		}
		switch {
		case k.Name == "environment": // ini has quoted it
		case k.Template || k.Name == "process_name":
			text = guard(text)
		default:
			text = guard(ini.EscapePercent(text))
		}
		b.Set(k.Name, text)
	}
	return nil
}

// skipped are the keys that another one implies.
func skipped(p api.Program, key string) bool {
	return key == "stderr_logfile" && p.RedirectStderr || key == "killasgroup" && p.StopAsGroup
}

// writeGroups prints the groups of all programs, sorted by name.
func writeGroups(b *ini.Builder, programs []api.Program) error {
	members := map[string][]string{}
	priority := map[string]int{}
	for _, p := range programs {
		if len(p.Groups) > 0 && strings.Contains(p.Name, ",") {
			return fmt.Errorf("write program %s: a group cannot name it, since its name has a comma", p.Name)
		}
		for _, g := range p.Groups {
			if was, ok := priority[g.Name]; ok && was != g.Priority {
				return fmt.Errorf("write group %s: its programs %s and %s disagree about its priority", g.Name, members[g.Name][0], p.Name)
			}
			priority[g.Name] = g.Priority
			members[g.Name] = append(members[g.Name], p.Name)
		}
	}
	for _, name := range sortedKeys(members) {
		b.Section("group:" + name)
		b.Set("programs", guard(ini.EscapePercent(strings.Join(members[name], ","))))
		if priority[name] != defaultGroupPriority {
			b.Set("priority", fmt.Sprint(priority[name]))
		}
	}
	return nil
}

// guard puts nothing wherever the grammar would take a part of a template for layout: blanks at the ends
// of lines, lines without text, and comment marks after white space.
func guard(template string) string {
	var b strings.Builder
	before := '\n' // the end of the line before
	first := true
	for _, r := range template {
		space := isSpace(before)
		switch {
		case first:
			if r == '\n' || isSpace(r) {
				b.WriteString(nothing)
			}
		case (r == ';' || r == '#' || r == '\n') && space, before == '\n' && isSpace(r):
			b.WriteString(nothing)
		}
		b.WriteRune(r)
		before, first = r, false
	}
	if !first && isSpace(before) {
		b.WriteString(nothing)
	}
	return b.String()
}

// isSpace is Python's idea of white space.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
