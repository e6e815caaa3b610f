package supervisor

import (
	"fmt"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// Description is the text behind the state in a status line (supervisor: rpcinterface.py,
// _interpretProcessInfo). Name is the full one, for the hint of a failure without a text. A time
// is zero when there was none; Stopped is shown in its own location.
type Description struct {
	Name       string
	State      api.State
	PID        int
	Started    time.Time
	Stopped    time.Time
	SpawnError string
}

// Text returns the description at now. It is empty for STARTING, STOPPING and UNKNOWN.
func (d Description) Text(now time.Time) string {
	switch d.State {
	case api.Running:
		return fmt.Sprintf("pid %d, uptime %s", d.PID, Uptime(now.Sub(d.Started)))
	case api.Fatal, api.Backoff:
		if d.SpawnError != "" {
			return d.SpawnError
		}
		return fmt.Sprintf("unknown error (try \"tail %s\")", d.Name)
	case api.Stopped, api.Exited:
		if d.Started.IsZero() {
			return "Not started"
		}
		return StopTime(d.Stopped)
	default:
		return ""
	}
}

// Uptime writes a duration as Python's timedelta does: hours are not padded, days are told,
// fractions of a second are cut off. A negative one is 0:00:00.
func Uptime(d time.Duration) string {
	seconds := int64(max(d, 0) / time.Second)
	days, rest := seconds/86400, seconds%86400
	clock := fmt.Sprintf("%d:%02d:%02d", rest/3600, rest/60%60, rest%60)
	switch days {
	case 0:
		return clock
	case 1:
		return "1 day, " + clock
	default:
		return fmt.Sprintf("%d days, %s", days, clock)
	}
}

// StopTime writes a moment as Python's "%b %d %I:%M %p" does.
func StopTime(t time.Time) string { return t.Format("Jan 02 03:04 PM") }

// StatusLine writes a line of status: the name padded to width and three more, the state to
// ten, the description. Width is StatusWidth of all names shown.
func StatusLine(width int, name string, state api.State, description string) string {
	return fmt.Sprintf("%s%s%s", pad(name, width+3), pad(state.String(), 10), description)
}

// StatusWidth returns the width of the name column: the longest name, and at least 30.
func StatusWidth(names []string) int {
	width := 30
	for _, name := range names {
		width = max(width, len([]rune(name)))
	}
	return width
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-len([]rune(s)), 0))
}
