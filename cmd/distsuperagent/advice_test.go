package main

import (
	"testing"

	"github.com/distsuper/distsuper/test/advice"
)

func TestAdviceAboutThisProgramParses(t *testing.T) {
	if err := advice.Parse(newRoot); err != nil {
		t.Error(err)
	}
}
