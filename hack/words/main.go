// Words prints every sentence that a user can meet: in errors, tables, logs, history and help, from the source of the
// programs, and in README and the pages. It is for the reader who goes over all of them.
//
//	go run ./hack/words            # all
//	go run ./hack/words controller # those of one folder or file
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distsuper/distsuper/test/source"
)

func main() {
	all, err := collect(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(1)
	}
	file := ""
	for _, s := range all {
		if len(os.Args) > 1 && !strings.HasPrefix(s.File, os.Args[1]) {
			continue
		}
		if s.File != file {
			file = s.File
			fmt.Printf("\n%s\n", file)
		}
		fmt.Printf("%5d  %s\n", s.Line, strings.ReplaceAll(strings.TrimSpace(s.Text), "\n", "\n       "))
	}
}

// forTests reports whether a file's package is one that only tests use, as storetest.
func forTests(path string) bool { return strings.HasSuffix(filepath.Dir(path), "test") }

// collect is every sentence of the checkout in dir, by file and line.
func collect(dir string) ([]sentence, error) {
	module, err := source.Load(dir)
	if err != nil {
		return nil, err
	}
	var all []sentence
	for _, f := range module.Files {
		if !f.Test && !forTests(f.Path) {
			all = append(all, ofSource(module, f)...)
		}
	}
	pages, err := ofPages(dir)
	return append(all, pages...), err
}
