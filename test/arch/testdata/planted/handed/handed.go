// Package handed is pure: a file and a clock come from its caller.
package handed

import (
	"io/fs"
	"time"
)

// Clock says what time it is.
type Clock interface{ Now() time.Time }

// Real is one that is not used here.
type Real struct{}

// Now is the host's time.
func (Real) Now() time.Time { return time.Time{}.Add(time.Hour) }

// Age is how long a file has been there.
func Age(f fs.FileInfo, c Clock) time.Duration { return c.Now().Sub(f.ModTime()).Round(time.Second) }
