package main

import (
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/source"
)

// The names in start are those of functions, which are renamed now and then.
func TestEveryLegOfAStartIsThere(t *testing.T) {
	module, err := source.Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	measured := &tree{Module: module}
	if err := measured.walks(new(column)); err != nil {
		t.Fatal(err)
	}
	for _, o := range measured.offenders {
		if strings.Contains(o, "no way from") {
			t.Error(o)
		}
	}
}
