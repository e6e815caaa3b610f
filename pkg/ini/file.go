package ini

import (
	"fmt"
	"slices"
)

// DefaultSection is the section whose keys every other section inherits.
const DefaultSection = "DEFAULT"

// A File is what was read from a root file and the files it includes.
type File struct {
	// Warnings tell what was read but is probably not what was meant. Each
	// names its file and line.
	Warnings []string

	files    []string
	sections []*Section
	byName   map[string]*Section
	defaults *Section
	touched  []*Section // those with a header in the file read last
}

func newFile() *File {
	f := &File{byName: make(map[string]*Section)}
	f.defaults = newSection(f, DefaultSection, "", 0)
	return f
}

// Files returns the names of the files read, in order, the root first.
func (f *File) Files() []string { return slices.Clone(f.files) }

// Sections returns all sections but [DEFAULT], in the order in which they first
// appear.
func (f *File) Sections() []*Section { return slices.Clone(f.sections) }

// Section returns the section of that name. Names are case-sensitive; [DEFAULT]
// is not among them.
func (f *File) Section(name string) (*Section, bool) {
	s, ok := f.byName[name]
	return s, ok
}

// Defaults returns [DEFAULT], which is empty when no file has it.
func (f *File) Defaults() *Section { return f.defaults }

// enter returns the section that a header opens, made if it is new.
func (f *File) enter(name, file string, line int) *Section {
	s := f.byName[name]
	switch {
	case name == DefaultSection:
		s = f.defaults
		if s.File == "" {
			s.File, s.Line = file, line
		}
	case s == nil:
		s = newSection(f, name, file, line)
		f.sections = append(f.sections, s)
		f.byName[name] = s
	}
	if !slices.Contains(f.touched, s) {
		f.touched = append(f.touched, s)
	}
	if !slices.Contains(s.files, file) {
		s.files = append(s.files, file)
	}
	return s
}

// A Section is a named list of options, merged from all its appearances.
type Section struct {
	Name string
	File string // where its header first stands
	Line int

	owner  *File
	files  []string
	order  []string
	values map[string]option
}

// A Value is the text of an option and the place where it was set. The text is
// a template: Expand makes it final.
type Value struct {
	Text string
	File string
	Line int
}

type option struct {
	Value
	inherited bool // a value of [DEFAULT], copied when its %(here)s was replaced
}

func newSection(owner *File, name, file string, line int) *Section {
	return &Section{Name: name, File: file, Line: line, owner: owner, values: make(map[string]option)}
}

// Get returns the value of key, which is in lower case, or the one inherited
// from [DEFAULT].
func (s *Section) Get(key string) (Value, bool) {
	if o, ok := s.values[key]; ok {
		return o.Value, true
	}
	o, ok := s.owner.defaults.values[key]
	return o.Value, ok
}

// Keys returns the section's own keys in the order in which they first appear,
// then the inherited ones in theirs.
func (s *Section) Keys() []string {
	keys := slices.Clone(s.order)
	for _, key := range s.owner.defaults.order {
		if _, own := s.values[key]; !own {
			keys = append(keys, key)
		}
	}
	return keys
}

// Inherits reports whether key has a value here only because of [DEFAULT].
func (s *Section) Inherits(key string) bool {
	if s == s.owner.defaults {
		return false
	}
	if o, ok := s.values[key]; ok {
		return o.inherited
	}
	_, ok := s.owner.defaults.values[key]
	return ok
}

// Map returns the text of every key, inherited ones included.
func (s *Section) Map() map[string]string {
	m := make(map[string]string)
	for _, key := range s.Keys() {
		v, _ := s.Get(key)
		m[key] = v.Text
	}
	return m
}

// Files returns the names of the files that have a header of this section, in
// the order in which they were read.
func (s *Section) Files() []string { return slices.Clone(s.files) }

// Wrap says where err happened: at the value of key, or at the header of the
// section when key is empty or has no value. It returns nil for a nil err.
func (s *Section) Wrap(key string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{File: s.File, Line: s.Line, Section: s.Name, Key: key, Err: err}
	if v, ok := s.Get(key); ok {
		e.File, e.Line = v.File, v.Line
	}
	return e
}

// Errorf is Wrap of a new error.
func (s *Section) Errorf(key, format string, args ...any) error {
	return s.Wrap(key, fmt.Errorf(format, args...))
}

func (s *Section) set(key string, o option) {
	if _, ok := s.values[key]; !ok {
		s.order = append(s.order, key)
	}
	s.values[key] = o
}
