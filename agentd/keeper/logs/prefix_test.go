package logs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPrefixBeginsEachLineWhateverWayItCame(t *testing.T) {
	c, dir := newCollector(t)
	path := filepath.Join(dir, "out")
	a := attach(t, c, Sink{Process: "a", Path: path, Prefix: "a | "})
	b := attach(t, c, Sink{Process: "b", Path: path, Prefix: "b | "})
	write(t, a, []byte("one\ntwo\nthr"))
	flush(t, c) // writes the unfinished line
	write(t, a, []byte("ee\n\nfour\n"))
	flush(t, c)
	write(t, b, []byte("other\n"))
	write(t, b, []byte("last"))
	b.Close()
	flush(t, c)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a | one", "a | two", "a | three", "a | ", "a | four", "b | other", "b | last"}
	if got := strings.Split(string(text), "\n"); !slices.Equal(got, want) {
		t.Errorf("the file has\n%q, want\n%q", got, want)
	}
}
