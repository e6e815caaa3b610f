package ini

import (
	"fmt"
	"strings"
)

// An Error is a problem at a place in a configuration file. Line is 0, and
// Section and Key are empty, where the problem is wider than they are.
type Error struct {
	File    string
	Line    int
	Section string
	Key     string
	Err     error
}

// Error reads as "web.ini:3: [program:web] autostart: not a boolean ...".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Section != "" {
		fmt.Fprintf(&b, ": [%s]", e.Section)
		if e.Key != "" {
			b.WriteString(" " + e.Key)
		}
	}
	b.WriteString(": " + e.Err.Error())
	return b.String()
}

// Unwrap returns the problem without its place.
func (e *Error) Unwrap() error { return e.Err }
