package ini

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options is what Load needs to know of the world. The zero value reads the
// real files and knows no environment.
type Options struct {
	// Environ and HostNode are the values of %(ENV_X)s and %(host_node_name)s
	// in the list of files to include.
	Environ  map[string]string
	HostNode string
	// WithoutIncludes leaves out what [include] names.
	WithoutIncludes bool

	// ReadFile is os.ReadFile when nil.
	ReadFile func(path string) ([]byte, error)
	// Glob returns the files that match pattern, which is relative to dir unless
	// absolute. When nil it is Python's glob on the real files.
	Glob func(dir, pattern string) ([]string, error)
}

// Load reads the file at path, then the files that its [include] names. Later
// values win, wherever they stand. %(here)s is replaced in every value by the
// absolute directory of the file that the value stands in.
//
// An included file that cannot be read is an error, where supervisor goes on
// without its programs. A missing root file satisfies errors.Is with
// fs.ErrNotExist.
func Load(path string, o Options) (*File, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.Glob == nil {
		o.Glob = glob
	}
	f := newFile()
	if err := f.load(path, o.ReadFile); err != nil {
		return nil, err
	}
	if o.WithoutIncludes {
		return f, nil
	}
	if err := f.include(path, o); err != nil {
		return nil, err
	}
	return f, nil
}

// load merges one file into f.
func (f *File) load(path string, readFile func(string) ([]byte, error)) error {
	text, err := readFile(path)
	if err != nil {
		return err
	}
	here, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("directory of %s: %w", path, err)
	}
	if err := f.read(path, string(text)); err != nil {
		return err
	}
	f.replaceHere(here)
	return nil
}

// include loads what the [include] section of the root file names, once: an
// [include] of an included file is not followed.
func (f *File) include(root string, o Options) error {
	section, ok := f.Section("include")
	if !ok {
		return nil
	}
	list, ok := section.Get("files")
	if !ok {
		return section.Errorf("", "names no files; write files = conf.d/*.ini")
	}
	expanded, err := Expand(list.Text, includeVars(root, o))
	if err != nil {
		return section.Wrap("files", err)
	}
	for _, pattern := range strings.FieldsFunc(expanded, isSpace) {
		names, err := o.Glob(filepath.Dir(root), pattern)
		if err != nil {
			return section.Wrap("files", fmt.Errorf("look for %q: %w", pattern, err))
		}
		if len(names) == 0 {
			f.warn(list, "no file matches %q", pattern)
		}
		for _, name := range names {
			if err := f.load(name, o.ReadFile); err != nil {
				return includeError(section, list, name, err)
			}
		}
	}
	for _, name := range section.files {
		if name != root {
			f.Warnings = append(f.Warnings, fmt.Sprintf("%s: [include] counts only in %s and is ignored here", name, root))
		}
	}
	return nil
}

// includeVars are the names that a list of files may use. %(here)s is replaced
// already; the other ways to write it, such as %(here)r, are not.
func includeVars(root string, o Options) Vars {
	vars := Vars{"host_node_name": o.HostNode}
	if here, err := filepath.Abs(filepath.Dir(root)); err == nil {
		vars["here"] = here
	}
	for name, value := range o.Environ {
		vars["ENV_"+name] = value
	}
	return vars
}

// includeError says which list led to a file that could not be read. An error
// within the file has its place already.
func includeError(section *Section, list Value, name string, err error) error {
	if placed := new(Error); errors.As(err, &placed) {
		return err
	}
	return &Error{File: list.File, Line: list.Line, Section: section.Name, Key: "files",
		Err: fmt.Errorf("include %s: %w", name, err)}
}

func (f *File) warn(at Value, format string, args ...any) {
	f.Warnings = append(f.Warnings, fmt.Sprintf("%s:%d: [include] files: ", at.File, at.Line)+fmt.Sprintf(format, args...))
}

// replaceHere puts here in place of %(here)s in all values that do not have it
// replaced yet, which are those of the file just read. A value inherited from
// [DEFAULT] becomes the section's own by it, as in supervisor: it means the
// directory of the file with the section.
func (f *File) replaceHere(here string) {
	const reference = "%(here)s"
	sections := f.touched
	if slices.Contains(sections, f.defaults) {
		sections = f.sections
	}
	for _, s := range sections {
		for _, key := range s.Keys() {
			v, _ := s.Get(key)
			if !strings.Contains(v.Text, reference) {
				continue
			}
			v.Text = replaceReference(v.Text, reference, EscapePercent(here))
			inherited := s.Inherits(key)
			s.set(key, option{Value: v, inherited: inherited})
		}
	}
}

// replaceReference replaces a reference in a text that need not be a valid
// template: options that nobody asks for may hold anything.
func replaceReference(text, reference, value string) string {
	var b strings.Builder
	for text != "" {
		switch {
		case strings.HasPrefix(text, "%%"):
			b.WriteString("%%")
			text = text[2:]
		case strings.HasPrefix(text, reference):
			b.WriteString(value)
			text = text[len(reference):]
		default:
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	return b.String()
}
