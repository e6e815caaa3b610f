package docs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Text returns a page as plain text of at most width columns, but for what cannot be broken: paragraphs are filled,
// tables aligned, markers left out. A table that is too wide becomes one block a row.
func Text(page string, width int) string {
	w := &writer{width: width}
	lines := strings.Split(comment.ReplaceAllString(page, ""), "\n")
	for i := 0; i < len(lines); {
		i += w.block(lines[i:])
	}
	return strings.Trim(blankLines.ReplaceAllString(w.String(), "\n\n"), "\n") + "\n"
}

var (
	comment    = regexp.MustCompile(`<!--.*?-->`)
	blankLines = regexp.MustCompile(`\n{3,}`)
	item       = regexp.MustCompile(`^(\* |- |\d+\. )`)
	link       = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)
	code       = regexp.MustCompile("`[^`]*`")
)

// A writer collects the text of a page.
type writer struct {
	strings.Builder
	width int
}

// block writes the block at the head of lines, and returns how many lines it took.
func (w *writer) block(lines []string) int {
	first := lines[0]
	switch {
	case strings.TrimSpace(first) == "":
		w.WriteString("\n")
		return 1
	case strings.HasPrefix(first, "#"):
		w.heading(first)
		return 1
	case strings.HasPrefix(first, "```"):
		n := 1
		for ; n < len(lines) && !strings.HasPrefix(lines[n], "```"); n++ {
			fmt.Fprintf(w, "    %s\n", lines[n])
		}
		return min(n+1, len(lines))
	case strings.HasPrefix(first, "|"):
		n := run(lines, func(l string) bool { return strings.HasPrefix(l, "|") })
		w.table(lines[:n])
		return n
	}
	lead := item.FindString(first)
	n := 1 + run(lines[1:], func(l string) bool {
		return strings.TrimSpace(l) != "" && !item.MatchString(l) && !strings.HasPrefix(l, "|") && !strings.HasPrefix(l, "```") && !strings.HasPrefix(l, "#")
	})
	text := strings.TrimPrefix(strings.Join(trimAll(lines[:n]), " "), lead)
	w.fill(lead, strings.Repeat(" ", len(lead)), inline(text))
	return n
}

// heading writes a title with a rule under it, or a lesser one as it is.
func (w *writer) heading(line string) {
	title := inline(strings.TrimLeft(line, "# "))
	rule := map[int]string{1: "=", 2: "-"}[len(line)-len(strings.TrimLeft(line, "#"))]
	fmt.Fprintf(w, "%s\n%s\n", title, strings.Repeat(rule, utf8.RuneCountInString(title)))
}

// run counts the lines at the head that are of a kind.
func run(lines []string, kind func(string) bool) int {
	n := 0
	for n < len(lines) && kind(lines[n]) {
		n++
	}
	return n
}

func trimAll(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimSpace(l)
	}
	return out
}

// fill writes text in lines that fit: the first behind lead, the others behind indent.
func (w *writer) fill(lead, indent, text string) {
	for i, line := range wrap(text, w.width-utf8.RuneCountInString(indent)) {
		if i > 0 {
			lead = indent
		}
		fmt.Fprintf(w, "%s\n", strings.TrimRight(lead+line, " "))
	}
}

// words splits a text at its spaces, but for those within backquotes.
func words(text string) []string {
	hidden := code.ReplaceAllStringFunc(text, func(s string) string { return strings.ReplaceAll(s, " ", "\x00") })
	out := strings.Fields(hidden)
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "\x00", " ")
	}
	return out
}

// inline takes out of a text what is for a browser only. A link to a page becomes the command that prints it.
func inline(text string) string {
	text = strings.ReplaceAll(text, "**", "")
	return link.ReplaceAllStringFunc(text, func(s string) string {
		m := link.FindStringSubmatch(s)
		topic, isPage := strings.CutSuffix(m[2], ".md")
		switch _, known := Page(topic); {
		case isPage && known:
			return fmt.Sprintf("%s (`distsuperctl help %s`)", m[1], topic)
		case strings.Contains(m[2], "://"):
			return fmt.Sprintf("%s (%s)", m[1], m[2])
		}
		return m[1]
	})
}

// leastColumn is how narrow the widest column of a table may become before the table is written as records.
const leastColumn = 30

// table writes the rows of a table. The second line is the rule under the header.
func (w *writer) table(lines []string) {
	var rows [][]string
	for i, l := range lines {
		if i != 1 {
			rows = append(rows, cells(l))
		}
	}
	widths, fits := columns(rows, w.width)
	if !fits {
		w.records(rows)
		return
	}
	for _, row := range rows {
		wrapped, height := make([][]string, len(row)), 0
		for i, cell := range row {
			wrapped[i] = wrap(cell, widths[i])
			height = max(height, len(wrapped[i]))
		}
		for n := range height {
			var line strings.Builder
			for i := range row {
				cell := ""
				if n < len(wrapped[i]) {
					cell = wrapped[i][n]
				}
				line.WriteString(pad(cell, widths[i]+2))
			}
			fmt.Fprintf(w, "%s\n", strings.TrimRight(line.String(), " "))
		}
	}
}

// columns returns the widths of a table's columns: as wide as their cells, but for the widest one, which gets what is
// left. It returns false when that is too little.
func columns(rows [][]string, width int) (widths []int, fit bool) {
	widths = make([]int, len(rows[0]))
	widest, sum := 0, -2
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		if widths[i] > widths[widest] {
			widest = i
		}
		sum += widths[i] + 2
	}
	if sum <= width {
		return widths, true
	}
	widths[widest] -= sum - width
	return widths, widths[widest] >= leastColumn
}

// wrap splits a text into lines that fit.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range words(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// records writes each row as a block: its first cell, and under it the others with their columns' names.
func (w *writer) records(rows [][]string) {
	header, widest := rows[0], 0
	for _, name := range header[1:] {
		widest = max(widest, utf8.RuneCountInString(name))
	}
	for _, row := range rows[1:] {
		w.WriteString("\n")
		w.fill("", "", row[0])
		for i, cell := range row[1:] {
			if cell != "" {
				w.fill("  "+pad(header[i+1], widest+2), strings.Repeat(" ", widest+4), cell)
			}
		}
	}
}

// cells splits a row at its bars. A bar with a backslash in front is one of the text.
func cells(line string) []string {
	line = strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00")
	out := strings.Split(strings.Trim(line, "|"), "|")
	for i := range out {
		out[i] = inline(strings.TrimSpace(strings.ReplaceAll(out[i], "\x00", "|")))
		if code.FindString(out[i]) == out[i] { // nothing else is there to tell it from
			out[i] = strings.Trim(out[i], "`")
		}
	}
	return out
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}
