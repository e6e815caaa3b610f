package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/contact"
)

// History tells what happened between two statuses of a process, and when; what a crash loop did meanwhile is told in one entry, and
// apart from it that the last copy was ended by a fence. Where the keeper does not say when, the time is left open.
func History(old, now api.Status, r keeper.Run) []api.HistoryEntry {
	if old.Token != now.Token {
		old = api.Status{Token: now.Token}
	}
	t := &tale{old: old, now: now, run: r}
	t.tell()
	for i := range t.entries {
		t.entries[i].Process, t.entries[i].Token = r.ID, now.Token
	}
	return t.entries
}

// tale is what is told of two statuses.
type tale struct {
	old, now api.Status
	run      keeper.Run
	entries  []api.HistoryEntry
}

func (t *tale) add(at time.Time, what, why string) {
	t.entries = append(t.entries, api.HistoryEntry{At: at, What: what, Why: why})
}

func (t *tale) tell() {
	old, now := t.old, t.now
	ended := !now.Stopped.Equal(old.Stopped)
	fenced := ended && now.FencedMillis > 0
	ending := now.State == api.Stopping // the fence of a copy is told when that has ended
	if fenced {
		t.add(now.Stopped, "fenced", contact.NoRenewal(time.Duration(now.FencedMillis)*time.Millisecond))
	}
	switch {
	case now.Released && !old.Released:
		t.released()
	case t.run.Cause == keeper.CauseFenced && !fenced && (ended || !ending && (now.State != old.State || now.Fault != old.Fault)):
		t.add(time.Time{}, "fenced", strings.TrimPrefix(now.Reason, "fenced: "))
	case now.Starts > old.Starts && fenced:
		t.add(now.Started, "started", fmt.Sprintf("pid %d, %s", now.PID, starts(now.Starts)))
	case now.Starts > old.Starts && ended && old.Starts > 0:
		t.add(now.Started, "restarted", fmt.Sprintf("%s; now pid %d, %s", exit(now), now.PID, starts(now.Starts)))
	case ended && !fenced:
		t.add(now.Stopped, "exited", join(exit(now), now.Reason))
	case now.Starts > old.Starts:
		t.add(now.Started, "started", fmt.Sprintf("pid %d", now.PID))
	}
}

// released tells that the run is over.
func (t *tale) released() {
	now := t.now
	var at time.Time
	if !now.Stopped.Equal(t.old.Stopped) && now.FencedMillis == 0 {
		at = now.Stopped
	}
	switch t.run.Cause {
	case keeper.CauseFinished:
		t.add(at, "exited", exit(now)+", not restarted")
	case keeper.CauseFatal:
		t.add(at, "gave up", join(now.Reason, starts(now.Starts)))
	case keeper.CauseRefused:
		t.add(at, "refused", now.Reason)
	default:
		by := ""
		if now.StoppedBy != "" {
			by = "by " + now.StoppedBy + " on its machine"
		}
		t.add(at, "stopped", join(by, exit(now), now.Reason))
	}
}

// exit says how the last copy ended; a fence is no exit status.
func exit(s api.Status) string {
	switch {
	case s.FencedMillis > 0:
		return ""
	case s.Signal != "":
		return "ended by signal " + s.Signal
	case s.Exit != nil:
		return fmt.Sprintf("exit status %d", *s.Exit)
	}
	return ""
}

func starts(n int) string {
	if n == 1 {
		return "started once"
	}
	return fmt.Sprintf("started %d times", n)
}

func join(parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, "; ")
}
