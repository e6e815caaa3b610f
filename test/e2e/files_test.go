package e2e

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// unbroken fails the test unless a log counts from 1 up, a line a number.
func unbroken(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	lines = lines[:len(lines)-1] // what comes after the last newline is a line in the making
	if len(lines) < 10 {
		t.Errorf("%s has only %d lines", file, len(lines))
	}
	for i, line := range lines {
		if line != itoa(i+1) {
			t.Fatalf("%s: line %d says %q: output was lost or doubled", file, i+1, line)
		}
	}
}
