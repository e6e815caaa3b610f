//go:build !linux

package page

import (
	"errors"
	"time"
)

// View is not to be had here: no keeper runs on this system.
type View struct{}

// Open says so.
func Open(Address) (*View, error) {
	return nil, errors.New("processes are told their deadlines on Linux only")
}

// Limits have passed.
func (*View) Limits() Limits { return Limits{} }

// Changes counts none.
func (*View) Changes() uint32 { return 0 }

// Wait returns at once.
func (*View) Wait(uint32, time.Duration) {}
