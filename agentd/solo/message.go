package solo

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/pkg/ini"
)

// message is what supervisord logs of a change; "" is nothing.
func message(c engine.Change) (ini.Level, string) {
	name := c.Process.Name
	switch c.Kind {
	case engine.Spawned:
		return ini.LevelInfo, fmt.Sprintf("spawned: '%s' with pid %d", name, c.PID)
	case engine.NotSpawned:
		return ini.LevelInfo, "spawnerr: " + c.Text
	case engine.Started:
		return ini.LevelInfo, fmt.Sprintf("success: %s entered RUNNING state, process has stayed up for > than %d seconds (startsecs)", name, c.Process.StartSecs)
	case engine.Ending:
		return ini.LevelInfo, fmt.Sprintf("waiting for %s to stop", name)
	case engine.Killing:
		return ini.LevelWarn, fmt.Sprintf("killing '%s' (%d) with SIGKILL", name, c.PID)
	case engine.Exited:
		if c.Expected && !c.Quick {
			return ini.LevelInfo, fmt.Sprintf("exited: %s (%s; expected)", name, termination(c.Status))
		}
		return ini.LevelWarn, fmt.Sprintf("exited: %s (%s; not expected)", name, termination(c.Status))
	case engine.Stopped:
		level := ini.LevelWarn
		if c.Expected {
			level = ini.LevelInfo
		}
		return level, fmt.Sprintf("stopped: %s (%s)", name, termination(c.Status))
	case engine.GaveUp:
		why := "too many start retries too quickly"
		if c.Text != "" {
			why = "it cannot be started here"
		}
		return ini.LevelInfo, fmt.Sprintf("gave up: %s entered FATAL state, %s", name, why)
	case engine.Reaped:
		return ini.LevelInfo, fmt.Sprintf("reaped unknown pid %d (%s)", c.PID, termination(c.Status))
	}
	return 0, ""
}

// signalMessage is what supervisord logs at debug of a stop signal.
func signalMessage(c engine.Change) string {
	group := ""
	if c.Process.StopAsGroup {
		group = "process group "
	}
	return fmt.Sprintf("killing %s (pid %d) %swith signal SIG%s", c.Process.Name, c.PID, group, c.Process.StopSignal)
}

// termination describes how a process ended.
func termination(status unix.WaitStatus) string {
	switch {
	case status.Exited():
		return fmt.Sprintf("exit status %d", status.ExitStatus())
	case !status.Signaled():
		return fmt.Sprintf("unknown termination cause 0x%04x", uint32(status))
	}
	name := unix.SignalName(status.Signal())
	if name == "" {
		name = fmt.Sprintf("signal %d", status.Signal())
	}
	if status.CoreDump() {
		name += " (core dumped)"
	}
	return "terminated by " + name
}
