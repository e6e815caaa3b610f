package supervisor

import (
	"fmt"
	"strings"
)

// ExitedTooQuickly is the spawn error of a copy that died within startsecs.
const ExitedTooQuickly = "Exited too quickly (process log may have details)"

// ExitNotSpawned is the exit status of a child that failed between fork and exec.
const ExitNotSpawned = 127

// ChildNotSpawned is the last line that such a child writes to its stderr.
const ChildNotSpawned = "supervisor: child process was not spawned\n"

// CommandEmpty is the spawn error of a command without a word.
const CommandEmpty = "command is empty"

// BadExitCode is the spawn error of an unexpected exit; -1 stands for death by a signal.
func BadExitCode(status int) string { return fmt.Sprintf("Bad exit code %d", status) }

// CantParse says that a command cannot be split into words.
func CantParse(command string, reason any) string {
	return fmt.Sprintf("can't parse command %s: %v", Quote(command), reason)
}

// CantFind says that there is no such command.
func CantFind(path string) string { return "can't find command " + Quote(path) }

// IsDirectory says that the command is a directory.
func IsDirectory(path string) string { return "command at " + Quote(path) + " is a directory" }

// IsNotExecutable says that the command has no execute bit.
func IsNotExecutable(path string) string {
	return "command at " + Quote(path) + " is not executable"
}

// NoPermission says that we may not execute the command.
func NoPermission(path string) string { return "no permission to run command " + Quote(path) }

// TooManyFiles says that no descriptor was left for the pipes.
func TooManyFiles(process string) string {
	return fmt.Sprintf("too many open files to spawn '%s'", process)
}

// PipesFailed says that the pipes could not be made; errno is its name, such as ENOMEM.
func PipesFailed(process, errno string) string {
	return fmt.Sprintf("unknown error making dispatchers for '%s': %s", process, errno)
}

// TooManyProcesses says that fork answered EAGAIN.
func TooManyProcesses(process string) string {
	return fmt.Sprintf("Too many processes in process table to spawn '%s'", process)
}

// ForkFailed says that fork failed otherwise.
func ForkFailed(process, errno string) string {
	return fmt.Sprintf("unknown error during fork for '%s': %s", process, errno)
}

// CantSetuid, CantChdir and CantExec are what a child says on its stderr, after "supervisor: ".
func CantSetuid(uid int, reason string) string {
	return fmt.Sprintf("couldn't setuid to %d: %s", uid, reason)
}

// CantChdir: see CantSetuid.
func CantChdir(directory, errno string) string {
	return fmt.Sprintf("couldn't chdir to %s: %s", directory, errno)
}

// CantExec: see CantSetuid.
func CantExec(argv0, errno string) string {
	return fmt.Sprintf("couldn't exec %s: %s", argv0, errno)
}

// NotRoot is the reason of CantSetuid for a daemon that is not root.
const NotRoot = "Can't drop privilege as nonroot user"

// Quote writes a string as Python's repr does: in single quotes, in double ones when it has
// single quotes only.
func Quote(s string) string {
	quote := `'`
	if strings.Contains(s, `'`) && !strings.Contains(s, `"`) {
		quote = `"`
	}
	escapes := strings.NewReplacer(`\`, `\\`, quote, `\`+quote, "\n", `\n`, "\t", `\t`, "\r", `\r`)
	return quote + escapes.Replace(s) + quote
}
