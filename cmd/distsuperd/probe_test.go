package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestEtcdIsAskedOnceASecondAtMostAndAnswersInTimeOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		var says error
		p := probe{ask: func(ctx context.Context) error {
			if asked++; says == nil {
				return nil
			}
			<-ctx.Done()
			return says
		}}
		for range 100 {
			if !p.answers(t.Context()) {
				t.Fatal("it answers, and is said not to")
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times at once", asked)
		}
		says = errors.New("frozen")
		time.Sleep(probeAge)
		began := time.Now()
		for range 2 {
			if p.answers(t.Context()) {
				t.Error("it is frozen, and is said to answer")
			}
		}
		if took := time.Since(began); took != probeTime || asked != 2 {
			t.Errorf("asked %d times, for %v", asked, took)
		}
		says = nil
		time.Sleep(probeAge)
		if !p.answers(t.Context()) {
			t.Error("it answers again, and is said not to")
		}
	})
}
