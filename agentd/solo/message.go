package solo

import (
	"fmt"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// message is what supervisord logs of a transition; "" is nothing.
func message(t keeper.Transition, p api.Process) (ini.Level, string) {
	switch t.Kind {
	case keeper.CopySpawned:
		return ini.LevelInfo, fmt.Sprintf("spawned: '%s' with pid %d", p.Name, t.PID)
	case keeper.CopyNotSpawned:
		return ini.LevelInfo, "spawnerr: " + t.Reason
	case keeper.KillSent:
		return ini.LevelWarn, fmt.Sprintf("killing '%s' (%d) with SIGKILL", p.Name, t.PID)
	case keeper.CopyEnded:
		return endMessage(t, p.Name)
	}
	switch t.To {
	case api.Running:
		return ini.LevelInfo, fmt.Sprintf("success: %s entered RUNNING state, process has stayed up for > than %d seconds (startsecs)", p.Name, p.StartSecs)
	case api.Stopping:
		return ini.LevelInfo, fmt.Sprintf("waiting for %s to stop", p.Name)
	case api.Fatal:
		why := "too many start retries too quickly"
		if t.Cause == keeper.CauseRefused {
			why = "it cannot be started here"
		}
		return ini.LevelInfo, fmt.Sprintf("gave up: %s entered FATAL state, %s", p.Name, why)
	}
	return 0, ""
}

// endMessage is what supervisord logs of a copy that ended.
func endMessage(t keeper.Transition, name string) (ini.Level, string) {
	what, level := "exited: %s (%s; not expected)", ini.LevelWarn
	switch {
	case wasStopped(t):
		what = "stopped: %s (%s)"
		if t.Expected {
			level = ini.LevelInfo
		}
	case t.Expected && !t.Quick:
		what, level = "exited: %s (%s; expected)", ini.LevelInfo
	}
	return level, fmt.Sprintf(what, name, termination(t))
}

// entered reports whether a process is in a state now that it was not in before.
func entered(t keeper.Transition, s api.State) bool {
	return t.Kind == keeper.StateChanged && t.To == s
}

// wasStopped reports whether a copy that ended had been told to.
func wasStopped(t keeper.Transition) bool { return t.From == api.Stopping || t.From == api.Unknown }

// signalMessage is what supervisord logs at debug of a stop signal.
func signalMessage(t keeper.Transition, p api.Process) string {
	group := ""
	if p.StopAsGroup {
		group = "process group "
	}
	return fmt.Sprintf("killing %s (pid %d) %swith signal SIG%s", p.Name, t.PID, group, p.StopSignal)
}

// orphanMessage is what supervisord logs of a child that it does not know.
func orphanMessage(end keeper.Transition) string {
	return fmt.Sprintf("reaped unknown pid %d (%s)", end.PID, termination(end))
}

// termination describes how a copy ended.
func termination(t keeper.Transition) string {
	switch {
	case t.Signal == "":
		return fmt.Sprintf("exit status %d", *t.Exit)
	case t.CoreDumped:
		return "terminated by " + t.Signal + " (core dumped)"
	}
	return "terminated by " + t.Signal
}
