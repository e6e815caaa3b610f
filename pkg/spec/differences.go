package spec

import (
	"fmt"
	"strings"
)

// A Difference is a place where distsuper knowingly does something else than supervisor.
type Difference struct {
	ID         string // by which tests name it
	Area       string
	What       string
	Supervisor string // what it does
	Distsuper  string // what distsuper does
	Why        string
}

// The areas of differences.
const (
	AreaConfiguration = "configuration"
	AreaProcesses     = "processes"
	AreaCommands      = "commands"
)

// Differences is the table from which that of README.md is printed. Each row of AreaConfiguration is shown by a
// case of test/parity, and each case there that differs is one of a row.
var Differences = []Difference{
	{ID: "nameless-percent", Area: AreaConfiguration,
		What: "a conversion without a name, such as `%s`", Supervisor: "puts the whole environment of the daemon in its place", Distsuper: "refuses it, and says to write `%%`",
		Why: "it is always a mistake, and secrets end up on a command line"},
	{ID: "unquoted-environment", Area: AreaConfiguration,
		What: "`environment` with characters that need quotes: `A=a b`, `A=$B`, `A=~x`", Supervisor: "cuts the value there without a word", Distsuper: "refuses it, and says which value to quote",
		Why: "a value that is cut is worse than none"},
	{ID: "environment-quotes", Area: AreaConfiguration,
		What: "quotes in `environment`", Supervisor: "up to 4.3 only takes the outer quotes off, and keeps backslashes", Distsuper: "reads quotes and backslashes as a shell does, like supervisor from 4.4 on",
		Why: "a value with a quote in it cannot be written otherwise"},
	{ID: "common-environment", Area: AreaConfiguration,
		What: "`%%` and `%(host_node_name)s` in the `environment` of `[supervisord]`", Supervisor: "up to 4.3 expands it twice, and refuses both", Distsuper: "takes them, like supervisor from 4.4 on",
		Why: "a percent sign cannot be written otherwise"},
	{ID: "names-after-expansion", Area: AreaConfiguration,
		What: "`process_name` that expands to a name with `:`, `/` or a space, or to none", Supervisor: "looks at the name before it is expanded only", Distsuper: "refuses it; an empty `process_name` counts as not written",
		Why: "nothing could name such a process"},
	{ID: "process-names", Area: AreaConfiguration,
		What: "`numprocs` above 1", Supervisor: "asks for the text `%(process_num)` in `process_name`, and loses processes whose names are equal all the same", Distsuper: "asks that all names differ, however they are made",
		Why: "that is what the rule is for"},
	{ID: "dropped-groups", Area: AreaConfiguration,
		What: "two groups of one name, as those of a group and of a program that is in none", Supervisor: "runs the first and drops the others without a word", Distsuper: "refuses the file, and names both places",
		Why: "a program that does not run must be told of"},
	{ID: "dropped-processes", Area: AreaConfiguration,
		What: "two processes of one name in a group", Supervisor: "runs the last and drops the others without a word", Distsuper: "refuses two programs; a program that is named twice counts once",
		Why: "a program that does not run must be told of"},
	{ID: "empty-groups", Area: AreaConfiguration,
		What: "`[group:x]` without `programs`", Supervisor: "takes it for an empty group", Distsuper: "refuses it", Why: "the key is misspelt or forgotten"},
	{ID: "names", Area: AreaConfiguration,
		What: "names with control characters or any white space, of more than 200 bytes, or none", Supervisor: "refuses only `:`, `/` and the plain space", Distsuper: "refuses them",
		Why: "names are keys in etcd, and words on a terminal"},
	{ID: "negative-numbers", Area: AreaConfiguration,
		What: "negative seconds, retries, sizes and backups", Supervisor: "takes them, with the effect of 0 or a surprising one", Distsuper: "counts them as 0, and says so where it matters",
		Why: "no negative one means anything"},
	{ID: "huge-numbers", Area: AreaConfiguration,
		What: "numbers above 2147483647, `numprocs` above 10000", Supervisor: "takes any", Distsuper: "refuses them", Why: "they are slips of the hand"},
	{ID: "signal-zero", Area: AreaConfiguration,
		What: "`stopsignal = 0`, `signal 0 NAME`", Supervisor: "takes it: nothing is sent, and a stop is SIGKILL after `stopwaitsecs`", Distsuper: "refuses it", Why: "it is no signal; KILL is the one that asks nobody"},
	{ID: "modes", Area: AreaConfiguration,
		What: "a negative `umask` or `chmod`", Supervisor: "takes it", Distsuper: "refuses it", Why: "no negative one means anything"},
	{ID: "empty-values", Area: AreaConfiguration,
		What: "an empty `user`, `directory`, log file, `pidfile` or `command`", Supervisor: "takes the empty text: the start fails later, or a file has no name", Distsuper: "refuses an empty `command` or `file`, and `user` or `directory` in `[supervisord]`; the others count as not written, with a warning",
		Why: "that is what people mean who clear a value"},
	{ID: "settings-of-one-process", Area: AreaConfiguration,
		What: "`%(process_num)d` in `stdout_logfile_backups` and its kind, and in the names of variables", Supervisor: "gives each process its own, and shows variables of one to those after it", Distsuper: "refuses it: only `command`, `process_name`, `directory`, the values of `environment` and the log files differ by process",
		Why: "the other settings are the program's"},
	{ID: "checks-on-the-machine", Area: AreaConfiguration,
		What: "users and log directories", Supervisor: "have to exist where the file is read", Distsuper: "have to exist where the process starts, which fails there and says why",
		Why: "the file is read on one machine and followed on others"},
	{ID: "broken-header", Area: AreaConfiguration,
		What: "`[program:x` without its closing bracket", Supervisor: "takes it for a key `[program` of the section above: the program is lost", Distsuper: "refuses it", Why: "a program that does not run must be told of"},
	{ID: "no-supervisord", Area: AreaConfiguration,
		What: "a file without `[supervisord]`", Supervisor: "refuses it", Distsuper: "takes it", Why: "there is no such daemon in a fleet"},
	{ID: "ipv6", Area: AreaConfiguration,
		What: "IPv6 in `[inet_http_server] port`", Supervisor: "takes `[::1]:9001` and `::1:9001`, and cannot listen there", Distsuper: "knows `[::1]:9001`, and refuses the other", Why: "an address should work or be refused"},
	{ID: "python-plugins", Area: AreaConfiguration,
		What: "`[rpcinterface:x]` factories, `[ctlplugin:x]`, `result_handler`", Supervisor: "loads the Python code, and refuses the file when it cannot", Distsuper: "warns and goes on; supervisor's own factory needs no loading",
		Why: "there is no Python in distsuper"},
	{ID: "instant-death", Area: AreaProcesses,
		What: "a process that dies at once", Supervisor: "is sometimes RUNNING for a moment, and then its `startretries` begin anew", Distsuper: "is never RUNNING before it has lived for `startsecs`",
		Why: "a process that cannot start must become FATAL"},
	{ID: "whole-update", Area: AreaProcesses,
		What: "a changed program in a group", Supervisor: "`update` restarts all members of the group", Distsuper: "`load` restarts the processes that would see the change, and lists them before",
		Why: "the others have done nothing"},
	{ID: "stale-environment", Area: AreaProcesses,
		What: "a variable that is taken out of `[supervisord] environment`", Supervisor: "is still known to `%(ENV_X)s` until the daemon starts anew", Distsuper: "is gone with the next reading",
		Why: "a file means the same whenever it is read"},
	{ID: "unwritable-logs", Area: AreaProcesses,
		What: "a log that cannot be written: a full disk, a directory that is gone", Supervisor: "loses the output", Distsuper: "leaves it in the process's pipe until it can be written, and says so in its own log; the process waits when the pipe is full",
		Why: "a night's output is not to be lost for a disk that is full in the evening"},
	{ID: "torn-lines", Area: AreaProcesses,
		What: "rotation, several processes in one file, `stdout_syslog`", Supervisor: "cuts the output where a read happens to end; processes that share a file rotate it one after another", Distsuper: "cuts it at the ends of lines; a shared file has one writer", Why: "logs are read by line"},
	{ID: "strip-ansi", Area: AreaProcesses,
		What: "`strip_ansi`", Supervisor: "knows some endings of an escape sequence, takes text after any other one with it, and misses sequences that two reads share", Distsuper: "takes out each whole sequence that begins with `ESC [`, and nothing else; it is a key of `[program:x]`, too",
		Why: "a log may lose colours, not words"},
	{ID: "clear-after-the-end", Area: AreaProcesses,
		What: "`clear` of a process that does not run", Supervisor: "says `cleared` and does nothing", Distsuper: "clears its logs", Why: "that is what was asked for and answered"},
	{ID: "clear-streams", Area: AreaProcesses,
		What: "`clear` of a log in `/dev/stdout`, or in a fifo; the end of a daemon whose `pidfile` is `/dev/null`", Supervisor: "removes it, as root, from the host", Distsuper: "leaves it as it is", Why: "it is not the process's to remove"},
	{ID: "default-signals", Area: AreaProcesses,
		What: "SIGPIPE and SIGXFSZ in a process", Supervisor: "are ignored, since Python ignores them", Distsuper: "end it, as they do under a shell", Why: "the head of a pipeline ends when its reader does"},
	{ID: "refused-reload", Area: AreaProcesses,
		What: "HUP, or `reload`, with a file that would be refused", Supervisor: "stops all processes, and then ends with exit code 2", Distsuper: "`solo` goes on as before, and says what is wrong with the file",
		Why: "a slip in a file must not end what runs"},
	{ID: "missing-command", Area: AreaProcesses,
		What: "a command or directory that is not there or may not be used", Supervisor: "is tried `startretries` more times before the process is FATAL", Distsuper: "is FATAL at once, and in a fleet tried on the next machine",
		Why: "waiting does not make it appear; another machine may have it"},
	{ID: "files-of-others", Area: AreaProcesses,
		What: "a configuration file, or an included one, that another user than root owns or may write", Supervisor: "is taken by root", Distsuper: "is refused by root, with the command that mends it",
		Why: "whoever may write it can run commands as root"},
	{ID: "order-in-a-group", Area: AreaProcesses,
		What: "processes of a `[group:x]`", Supervisor: "start in the order of `programs`, whatever their `priority`", Distsuper: "start by their `priority`, those of one in the order of their names; no start waits for another in any case",
		Why: "`priority` is what is said to order starts"},
	{ID: "stop-takes-all", Area: AreaProcesses,
		What: "what a process that is stopped or dies leaves behind: children, daemons, whoever left its group", Supervisor: "goes on running, unless a signal to the group reached it", Distsuper: "is killed once the process is gone; with `stopasgroup` its group has until `stopwaitsecs` to end by itself. `leave_children`, which `solo` implies, spares what an expected exit leaves",
		Why: "a stop that leaves something running is none, and nothing may run twice"},
	{ID: "pidproxy", Area: AreaProcesses,
		What: "`pidproxy`", Supervisor: "ends once it has handed TERM on, and with 0", Distsuper: "`distsuperd pidproxy` ends after the process whose pid is in the file, else as its command does", Why: "what a program leaves behind is killed, and must not be before it has ended by itself"},
	{ID: "backoff-counter", Area: AreaProcesses,
		What: "a stop in BACKOFF", Supervisor: "leaves the next start with fewer tries", Distsuper: "gives the next start all its tries", Why: "a start that a person asks for is a new one"},

	{ID: "update-keeps-wish", Area: AreaCommands,
		What: "`update` of a changed group of which something was stopped by hand", Supervisor: "starts it anew by `autostart`", Distsuper: "leaves it stopped, and starts what ran",
		Why: "what a person asked for last counts"},
	{ID: "start-while-stopping", Area: AreaCommands,
		What: "`start` of what is STOPPING", Supervisor: "fails with `abnormal termination`", Distsuper: "waits for its end and starts it; who waits for the stop is told so", Why: "what a person asked for last counts"},
	{ID: "reads-file-now", Area: AreaCommands,
		What: "`add` and `avail`", Supervisor: "go by the last `reread`", Distsuper: "read the file", Why: "there is no state that nobody sees"},
	{ID: "tail-bytes", Area: AreaCommands,
		What: "`tail` and `maintail`", Supervisor: "add a line end to the log's", Distsuper: "print the log's bytes", Why: "they can be compared, and piped"},
	{ID: "tail-f-unknown", Area: AreaCommands,
		What: "`tail -f` of an unknown name", Supervisor: "exits with 0", Distsuper: "exits with 1, as without `-f`", Why: "scripts go by it"},
	{ID: "nobody-there", Area: AreaCommands,
		What: "a command while nothing runs", Supervisor: "exits with 7, 4 or 1, some commands with a traceback", Distsuper: "says on stderr how to start it, and exits with 7, `status` with 4",
		Why: "the same trouble should look the same"},
	{ID: "server-flags", Area: AreaCommands,
		What: "`-s URL`, `-u` and `-p`", Supervisor: "speaks to the server there, with user and password", Distsuper: "takes `-s` where the configuration has that server, and else says to write `-c FILE`; needs no user and password",
		Why: "the daemon is found by its file, and its socket is open to its own user and root alone"},
	{ID: "words", Area: AreaCommands,
		What: "a line in the shell", Supervisor: "is split at blanks", Distsuper: "is split as a shell does, quotes too; what comes by a pipe gets no prompts without `-i`", Why: "scripts read what is printed"},
}

// DifferencesTable is the table as Markdown.
func DifferencesTable() string {
	var b strings.Builder
	b.WriteString("| what | supervisor | distsuper | why |\n| --- | --- | --- | --- |\n")
	for _, d := range Differences {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", d.What, d.Supervisor, d.Distsuper, d.Why)
	}
	return b.String()
}
