package plan

import (
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

// History tells in at most one entry what happened between two statuses of a process; what a
// crash loop did meanwhile is told in one.
func History(old, now api.Status, r keeper.Run) []api.HistoryEntry {
	if old.Token != now.Token {
		old = api.Status{Token: now.Token}
	}
	what, why := describe(old, now, r)
	if what == "" {
		return nil
	}
	return []api.HistoryEntry{{Process: r.ID, Token: now.Token, What: what, Why: why}}
}

func describe(old, now api.Status, r keeper.Run) (what, why string) {
	ended := !now.Stopped.Equal(old.Stopped)
	switch {
	case now.Released && !old.Released:
		return released(now, r)
	case r.Cause == keeper.CauseFenced && (ended || now.State != old.State || now.Fault != old.Fault):
		return "fenced", now.Reason
	case ended && now.Starts > old.Starts && old.Starts > 0:
		return "restarted", fmt.Sprintf("%s; now pid %d, %s", exit(now), now.PID, copies(now.Starts))
	case ended:
		return "exited", join(exit(now), now.Reason)
	case now.Starts > old.Starts:
		return "started", fmt.Sprintf("pid %d", now.PID)
	}
	return "", ""
}

func released(now api.Status, r keeper.Run) (what, why string) {
	switch r.Cause {
	case keeper.CauseFinished:
		return "exited", exit(now) + ", not to be restarted"
	case keeper.CauseFatal:
		return "gave up", join(now.Reason, copies(now.Starts))
	case keeper.CauseRefused:
		return "refused", now.Reason
	}
	return "stopped", join(exit(now), now.Reason)
}

func exit(s api.Status) string {
	switch {
	case s.Signal != "":
		return "ended by signal " + s.Signal
	case s.Exit != nil:
		return fmt.Sprintf("exit status %d", *s.Exit)
	}
	return ""
}

func copies(n int) string {
	if n == 1 {
		return "1 copy started"
	}
	return fmt.Sprintf("%d copies started", n)
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
