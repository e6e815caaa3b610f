package main

import (
	"strings"
	"testing"
)

func TestWhatVerifySaysBecomesATable(t *testing.T) {
	text, err := figures([]byte(`{"copies": 111, "events": 3557671, "seconds": 63115200, "seeds": 20, "times_real_time": 1993.1}`), 5)
	if err != nil || !strings.Contains(text, "| 5 to 24 | 2 | 3 million | 111 | 1993 | 0 |") {
		t.Errorf("it says %v\n%s", err, text)
	}
	if _, err := figures([]byte("a story"), 1); err == nil {
		t.Error("a story is taken for figures")
	}
}
