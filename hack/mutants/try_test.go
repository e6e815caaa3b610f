package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestWhatEndsIsNoneOfWhatHangs(t *testing.T) {
	lines := []line{{Story: "seed 1"}, {Story: "seed 2"}, {Story: "seed 1", Ended: true}, {Story: "seed 3"}, {Story: "seed 3", Ended: true, Promise: "p"}}
	f, open := judge(lines)
	if f.Promise != "p" || f.By != "seed 3" || f.Stories != 2 || len(open) != 1 || !open["seed 2"] {
		t.Fatalf("%+v, open: %v", f, open)
	}
}

func TestEachStoryIsToldWhenItBeginsAndWhenItEnds(t *testing.T) {
	var out bytes.Buffer
	playAll(stories(1)[:1], &out)
	var lines []line
	for in := json.NewDecoder(&out); in.More(); {
		var l line
		if err := in.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 2 || lines[0].Ended || !lines[1].Ended || lines[0].Story != lines[1].Story {
		t.Fatalf("%+v", lines)
	}
}

func TestAStoryThatPanicsBreaksAPromise(t *testing.T) {
	if got := playOne("there is no such story"); got != noPanic {
		t.Fatalf("%q", got)
	}
}

// Otherwise a binary that cannot begin would count as a mutant that is not found.
func TestWhoPlaysNothingIsAnError(t *testing.T) {
	if lines, err := playIn(t.Context(), "/bin/false"); err == nil {
		t.Fatalf("played %+v", lines)
	}
}
