// Package mutants lists the patches that each take one guard away. They lie beside this file. The simulator has to notice every one of
// them: hack/mutants tries.
package mutants

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mutant is one patch.
type Mutant struct {
	Name string // of the file, without .patch
	Rule string // of the design to which what is missing belongs, or "finish", "promise", "bug"
	What string // is missing
	Path string // absolute
}

// List reads the patches of the source at root, in the order of their names.
func List(root string) ([]Mutant, error) {
	paths, err := filepath.Glob(filepath.Join(root, "test", "sim", "mutants", "*.patch"))
	if err != nil {
		return nil, err
	}
	var all []Mutant
	for _, path := range paths {
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m := Mutant{Name: strings.TrimSuffix(filepath.Base(path), ".patch"), Path: path}
		for _, line := range strings.Split(string(data), "\n") {
			if rule, ok := strings.CutPrefix(line, "Rule: "); ok {
				m.Rule = rule
			}
			if what, ok := strings.CutPrefix(line, "What: "); ok {
				m.What = what
			}
		}
		if m.Rule == "" || m.What == "" {
			return nil, fmt.Errorf("%s: a patch begins with the lines \"Rule: \" and \"What: \"", path)
		}
		all = append(all, m)
	}
	return all, nil
}
