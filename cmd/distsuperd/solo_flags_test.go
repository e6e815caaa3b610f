package main

import (
	"slices"
	"testing"
)

func TestCommandLineIsHandedOnWhole(t *testing.T) {
	line, err := parseSolo([]string{"-nc", "x.conf", "--identifier=my id", "--loglev", "warn", "-y5MB"})
	if err != nil || line.help || line.version || line.file != "x.conf" {
		t.Fatalf("%+v, %v", line, err)
	}
	again := line.again("/abs/x.conf")
	want := []string{"-c", "/abs/x.conf", "-n", "--identifier=my id", "--loglevel=warn", "-y", "5MB"}
	if !slices.Equal(again, want) {
		t.Errorf("%q, want %q", again, want)
	}
	second, err := parseSolo(again)
	if err != nil || !slices.Equal(second.again("/abs/x.conf"), want) {
		t.Errorf("read again: %+v, %v", second, err)
	}
}
