package supervisor

import "github.com/distsuper/distsuper/pkg/api"

// Exit codes of the control program (supervisorctl: LSBInitExitStatuses, LSBStatusExitStatuses).
// In a command about several processes the last one that fails sets the code, and success never
// resets it.
const (
	ExitOK          = 0 // also: already started on start, not running on stop
	ExitGeneric     = 1 // a bad name, a missing or unusable command, bad arguments
	ExitUsage       = 2 // usage errors; start without a name or with an unknown group
	ExitStatusDead  = 3 // status: a process that is shown is STOPPED, EXITED, FATAL or UNKNOWN
	ExitUnreachable = 4 // no contact; status: an unknown name
	ExitVersion     = 5 // the other side speaks another version
	ExitNotRunning  = 7 // start and restart: spawn error or abnormal termination; signal and pid of what does not run
)

// StatusExit returns the exit code of status for the states that it shows. unknown says that
// a name was not found; a process that is down outweighs it.
func StatusExit(shown []api.State, unknown bool) int {
	code := ExitOK
	if unknown {
		code = ExitUnreachable
	}
	for _, s := range shown {
		if s.IsStopped() {
			code = ExitStatusDead
		}
	}
	return code
}

// StartExit returns the exit code of starting one process that was answered with f.
func StartExit(f Fault) int {
	switch f {
	case Success, AlreadyStarted:
		return ExitOK
	case SpawnError, AbnormalTermination:
		return ExitNotRunning
	default:
		return ExitGeneric
	}
}

// StopExit returns the exit code of stopping one process that was answered with f.
func StopExit(f Fault) int {
	switch f {
	case Success, NotRunning:
		return ExitOK
	default:
		return ExitGeneric
	}
}

// SignalExit returns the exit code of signalling one process that was answered with f.
func SignalExit(f Fault) int {
	switch f {
	case Success:
		return ExitOK
	case NotRunning:
		return ExitNotRunning
	default:
		return ExitGeneric
	}
}

// resultTexts are what the control program prints for a fault, in "NAME: ERROR (text)".
var resultTexts = map[Fault]string{
	BadName: "no such process", NoFile: "no such file", NotExecutable: "file is not executable",
	AlreadyStarted: "already started", SpawnError: "spawn error",
	AbnormalTermination: "abnormal termination", NotRunning: "not running",
	BadSignal: "bad signal name",
}

// ResultText returns the words for f in "NAME: ERROR (words)".
func ResultText(f Fault) string {
	if text, ok := resultTexts[f]; ok {
		return text
	}
	return f.String()
}
