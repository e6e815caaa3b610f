package spec

import (
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// A Fact tells what became of one key of a program's section.
type Fact struct {
	Key string `json:"key"`
	// Written is the text of the file. Of environment it is left out: its values may be secrets.
	Written string `json:"written,omitempty"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	// From is the section that it stands in when that is not the program's: DEFAULT or supervisord.
	From string `json:"from,omitempty"`
	// Value is what the program has, as it would be written; of environment the names alone. First is what
	// the first process has, where that is something else.
	Value string `json:"value"`
	First string `json:"first,omitempty"`
	// Expanded are the names that the written text uses, and where each gets its value.
	Expanded []Expansion `json:"expanded,omitempty"`
}

// An Expansion tells where a name of a template gets its value.
type Expansion struct {
	Name  string `json:"name"`
	Where Where  `json:"where"`
}

// Where is a place at which names are expanded.
type Where string

// The places.
const (
	WhenRead   Where = "when the file is read"
	PerProcess Where = "for each process"
	OnMachine  Where = "on the machine that runs it"
)

// Place is where a program's section begins.
func Place(f *ini.File, kind, program string) (file string, line int) {
	if s := sectionOf(f, kind, program); s != nil {
		return s.File, s.Line
	}
	return "", 0
}

func sectionOf(f *ini.File, kind, program string) *ini.Section {
	for _, s := range f.Sections() {
		if rest, ok := cutKind(s.Name, kind); ok && trimName(rest) == program {
			return s
		}
	}
	return nil
}

func cutKind(section, kind string) (name string, ok bool) {
	if len(section) <= len(kind) || section[:len(kind)] != kind || section[len(kind)] != ':' {
		return "", false
	}
	return section[len(kind)+1:], true
}

// Explain tells of every key that is written for a program which Read has made of the file, in the order of
// Keys, and of the environment that [supervisord] gives it. kind is that of its section, as "program".
func Explain(f *ini.File, kind string, p api.Program) []Fact {
	s := sectionOf(f, kind, p.Name)
	if s == nil {
		return nil
	}
	first := p
	if processes, err := Processes(p); err == nil && len(processes) > 0 {
		first.Settings, first.ProcessName = processes[0].Settings, processes[0].Name
	}
	r := &programReader{reader: newReader(f, Options{}), section: s}
	var out []Fact
	for _, k := range table {
		name := r.find(k)
		if common, ok := commonFact(f, k, p); ok && name == "" {
			out = append(out, common)
		}
		if name == "" {
			continue
		}
		v, _ := s.Get(name)
		fact := Fact{Key: name, Written: v.Text, File: v.File, Line: v.Line, Expanded: k.expansions(v.Text)}
		if s.Inherits(name) {
			fact.From = ini.DefaultSection
		}
		if k.Name == "environment" {
			fact.Written, fact.Value = "", formatList(sortedKeys(p.Environment))
		} else {
			fact.Value, _ = k.get(p)
			if fact.First, _ = k.get(first); fact.First == fact.Value {
				fact.First = ""
			}
		}
		out = append(out, fact)
	}
	return out
}

// commonFact tells of what a program has of [supervisord] alone.
func commonFact(f *ini.File, k Key, p api.Program) (fact Fact, ok bool) {
	s, ok := f.Section("supervisord")
	if !ok || k.Name != "environment" && k.Name != stripKey {
		return fact, false
	}
	v, ok := s.Get(k.Name)
	fact = Fact{Key: k.Name, File: v.File, Line: v.Line, From: s.Name, Expanded: k.expansions(v.Text)}
	if k.Name == "environment" {
		fact.Value = formatList(sortedKeys(p.Environment))
		return fact, ok && len(p.Environment) > 0
	}
	fact.Written = v.Text
	fact.Value, _ = k.get(p)
	return fact, ok
}

// expansions tells of each name in a text of this key. What cannot be read has none.
func (k Key) expansions(text string) []Expansion {
	names, err := ini.References(text)
	if err != nil {
		return nil
	}
	var out []Expansion
	for _, name := range names {
		where := WhenRead
		switch {
		case (k.Template || k.Name == "process_name") && slices.Contains(perProcess, name):
			where = PerProcess
		case k.Template && onMachine(name):
			where = OnMachine
		}
		out = append(out, Expansion{Name: name, Where: where})
	}
	return out
}
