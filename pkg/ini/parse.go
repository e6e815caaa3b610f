package ini

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxProblems bounds the errors that one file can cause, so that pointing at a
// file of another kind by mistake fills no screen.
const maxProblems = 10

// Parse reads one file's text. name stands for the file in errors and values.
// [include] and %(here)s are left as they are: Load acts on them. An error joins
// one *Error for each bad line, and there is no File then.
func Parse(name, text string) (*File, error) {
	f := newFile()
	if err := f.read(name, text); err != nil {
		return nil, err
	}
	return f, nil
}

// read merges the text of a file into f.
func (f *File) read(name, text string) error {
	if err := checkEncoding(name, text); err != nil {
		return err
	}
	f.files = append(f.files, name)
	f.touched = nil
	r := &reader{file: f, name: name}
	// Python opens files with universal newlines: a lone CR ends a line too.
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	for i, line := range strings.Split(text, "\n") {
		if !r.readLine(i+1, line) || len(r.problems) >= maxProblems {
			break
		}
	}
	r.closeOption()
	return errors.Join(r.problems...)
}

// A reader is the state between two lines of a file.
type reader struct {
	file     *File
	name     string
	problems []error

	section *Section // nil until the first header
	indent  int      // of the last header or key

	key   string   // of the option being read, empty when there is none
	line  int      // where that key stands
	lines []string // its value so far
}

// readLine takes the next line. It returns false when what follows would be
// reported as wrong only because of this line.
func (r *reader) readLine(number int, line string) bool {
	comment := commentStart(line)
	content := line
	if comment >= 0 {
		content = line[:comment]
	}
	content = trim(content)
	switch {
	case content == "":
		// A blank line belongs to a value that goes on after it, the line of a
		// comment does not. What is left at the value's end is trimmed there.
		if comment < 0 && r.key != "" {
			r.lines = append(r.lines, "")
		}
		return true
	case r.key != "" && indentOf(line) > r.indent:
		r.lines = append(r.lines, content)
		return true
	}
	r.indent = indentOf(line)
	if header, ok := sectionName(content); ok {
		r.closeOption()
		r.section = r.file.enter(header, r.name, number)
		return true
	}
	return r.readOption(number, content)
}

// readOption takes a line that begins an option.
func (r *reader) readOption(number int, content string) bool {
	r.closeOption()
	delimiter := strings.IndexAny(content, "=:")
	switch {
	case strings.HasPrefix(content, "["):
		// Python would take "[program:web" for a key "[program" of the section
		// before, and the program would be lost without a word.
		r.problem(number, "section header %q has no name or no closing bracket; write [name]", content)
		return true
	case r.section == nil:
		r.problem(number, "%q comes before any section header; a file begins with [section]", content)
		return false
	case delimiter < 0:
		r.problem(number, "%q is neither a section header nor an option; write [section], key = value, or indent it deeper than its key to continue a value", content)
		return true
	case delimiter == 0:
		r.problem(number, "option %q has no key; write key = value", content)
		return true
	}
	r.key = strings.ToLower(trim(content[:delimiter]))
	r.line = number
	r.lines = []string{trim(content[delimiter+1:])}
	return true
}

// closeOption stores the option that was being read, if any.
func (r *reader) closeOption() {
	if r.key == "" {
		return
	}
	text := strings.TrimRightFunc(strings.Join(r.lines, "\n"), isSpace)
	r.section.set(r.key, option{Value: Value{Text: text, File: r.name, Line: r.line}})
	r.key, r.lines = "", nil
}

func (r *reader) problem(line int, format string, args ...any) {
	e := &Error{File: r.name, Line: line, Err: fmt.Errorf(format, args...)}
	if r.section != nil {
		e.Section = r.section.Name
	}
	r.problems = append(r.problems, e)
}

// sectionName returns the name in a header. The last bracket closes it, and what
// follows is ignored.
func sectionName(content string) (string, bool) {
	end := strings.LastIndexByte(content, ']')
	if content[0] != '[' || end < 2 {
		return "", false
	}
	return content[1:end], true
}

// commentStart returns the index at which a comment takes the rest of the line,
// or -1. A comment begins with ; or # at the start of the line or after white
// space; quotes do not protect.
func commentStart(line string) int {
	if t := trim(line); t != "" && isCommentMark(t[0]) {
		return 0
	}
	// Python looks at the first ; and the first # together, then at the second
	// ones, and stops at the first round that finds a comment: in "a;b ; c # d"
	// the # wins. Files that work today may depend on it.
	at := [...]int{strings.IndexByte(line, ';'), strings.IndexByte(line, '#')}
	for at[0] >= 0 || at[1] >= 0 {
		start := -1
		for i, p := range at {
			if p < 0 {
				continue
			}
			if opensComment(line, p) && (start < 0 || p < start) {
				start = p
			}
			at[i] = indexByteAfter(line, line[p], p)
		}
		if start >= 0 {
			return start
		}
	}
	return -1
}

func isCommentMark(c byte) bool { return c == ';' || c == '#' }

// opensComment reports whether the mark at index p has white space before it.
func opensComment(line string, p int) bool {
	before, _ := utf8.DecodeLastRuneInString(line[:p])
	return isSpace(before)
}

func indexByteAfter(s string, c byte, after int) int {
	next := strings.IndexByte(s[after+1:], c)
	if next < 0 {
		return -1
	}
	return after + 1 + next
}

// indentOf counts the characters before the first that is no white space.
func indentOf(line string) int {
	return utf8.RuneCountInString(line) - utf8.RuneCountInString(strings.TrimLeftFunc(line, isSpace))
}
