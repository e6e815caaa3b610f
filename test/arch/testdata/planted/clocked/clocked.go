// Package clocked imports time for its durations, and then asks what time it is.
package clocked

import "time"

// Late takes no moment, as it should.
func Late(since time.Time, limit time.Duration) bool { return time.Now().Sub(since) > limit }
