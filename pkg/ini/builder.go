package ini

import (
	"fmt"
	"strings"
)

// A Builder writes a configuration file. What it is given reads back the same,
// or Text returns an error: the grammar has no way to write some values, such as
// "a ;b" or one with blanks at its end. FormatCommand and FormatEnvironment find
// a way for the values that have quotes. The zero Builder is ready to use.
type Builder struct {
	text    strings.Builder
	section string
	opened  bool
	err     error // the first one; nothing is written after it
}

// Section begins a section. Its options follow by Set.
func (b *Builder) Section(name string) {
	header := "[" + name + "]\n"
	f, err := Parse("", header)
	if err != nil || !hasSection(f, name) {
		b.fail(fmt.Errorf("%q cannot be written as the name of a section", name))
	}
	if b.text.Len() > 0 {
		header = "\n" + header
	}
	b.write(header)
	b.section, b.opened = name, true
}

// hasSection reports whether reading the header of name has given that section.
func hasSection(f *File, name string) bool {
	_, ok := f.Section(name)
	return ok || (name == DefaultSection && f.defaults.Line > 0)
}

// Set writes an option of the section begun last. value is a template.
func (b *Builder) Set(key, value string) {
	if !b.opened {
		b.fail(fmt.Errorf("option %s comes before any section", key))
	}
	// No blank after the sign: a value may begin with a comment mark.
	line := key + "=" + strings.ReplaceAll(value, "\n", "\n    ") + "\n"
	if !readsBack(line, key, value) {
		b.fail(fmt.Errorf("section %s: a configuration file cannot hold %s with the value %q", b.section, key, value))
	}
	b.write(line)
}

func readsBack(line, key, value string) bool {
	f, err := Parse("", "[section]\n"+line)
	if err != nil {
		return false
	}
	v, ok := f.sections[0].Get(key)
	return ok && v.Text == value
}

// Text returns the file, or the first error of any call.
func (b *Builder) Text() (string, error) {
	if b.err != nil {
		return "", b.err
	}
	return b.text.String(), nil
}

func (b *Builder) write(s string) {
	if b.err == nil {
		b.text.WriteString(s)
	}
}

func (b *Builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}
