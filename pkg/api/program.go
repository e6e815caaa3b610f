package api

import (
	"strings"
	"time"
)

// Program is what the user wrote: one [program:x] section. It is the value of
// programs/<program>. Its Settings are still templates (see Settings); spec.Processes
// makes the processes of it.
type Program struct {
	Name string `json:"name"`
	// Source says who wrote it: the [distsuperctl] source of a file ("file" unless
	// named) or SourceAPI. A load removes only programs of its own source.
	Source string `json:"source"`
	// Groups that the program is a member of; empty means the group of its own name.
	Groups []Group `json:"groups,omitempty"`
	// ProcessName is the template of the process names, "%(program_name)s" by default.
	ProcessName   string `json:"process_name"`
	Numprocs      int    `json:"numprocs"`
	NumprocsStart int    `json:"numprocs_start,omitempty"`
	// Autostart makes the intent of a process when its program is first loaded.
	Autostart bool `json:"autostart"`
	// Machines that may run it: names, addresses or labels such as "zone=a". Empty is any.
	Machines []string `json:"machines,omitempty"`
	// MaxFailCount is the number of machines tried after FATAL before giving up.
	MaxFailCount int `json:"max_fail_count"`
	// ServerURL is what processes find in SUPERVISOR_SERVER_URL; "" is what there is to be found.
	ServerURL string `json:"serverurl,omitempty"`
	Settings
}

// SourceAPI is the Source of programs made by package client.
const SourceAPI = "api"

// Group names a group and its priority ([group:x] priority, 999 by default).
type Group struct {
	Name     string `json:"name"`
	Priority int    `json:"priority"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// GroupList are the groups of a program: those that it is a member of, else the one of its own name.
func (p Program) GroupList() []Group {
	if len(p.Groups) > 0 {
		return p.Groups
	}
	return []Group{{Name: p.Name, Priority: p.Priority}}
}

// Settings are what a program gives to each of its processes.
//
// Command, Directory, User, Environment and the log files are templates in Python's
// % syntax. In a Program they may name program_name, group_name, process_num and
// numprocs, which spec.Processes replaces; in a Process only host_node_name and ENV_
// names are left, which the keeper replaces on the machine that runs it. Log files are
// expanded twice on the machine, as in supervisor. A leading "~" of Directory and of the log
// files is the keeper's, too.
type Settings struct {
	Command string `json:"command"`
	// Shell runs Command by /bin/sh -c instead of splitting it.
	Shell       bool              `json:"shell,omitempty"`
	Directory   string            `json:"directory,omitempty"`
	User        string            `json:"user,omitempty"`
	Umask       *int              `json:"umask,omitempty"` // as a number; nil is the agent's
	Environment map[string]string `json:"environment,omitempty"`
	// RedirectStderr sends stderr into the stdout log.
	RedirectStderr bool `json:"redirect_stderr,omitempty"`
	Stdout         Log  `json:"stdout"`
	Stderr         Log  `json:"stderr"`
	// StripANSI takes escape sequences out of both before they go anywhere.
	StripANSI bool `json:"strip_ansi,omitempty"`

	Priority     int         `json:"priority"`
	StartSecs    int         `json:"startsecs"`
	StartRetries int         `json:"startretries"`
	Autorestart  Autorestart `json:"autorestart"`
	ExitCodes    []int       `json:"exitcodes"`
	StopSignal   string      `json:"stopsignal"` // without SIG, as "TERM"
	StopWaitSecs int         `json:"stopwaitsecs"`
	StopAsGroup  bool        `json:"stopasgroup,omitempty"`
	KillAsGroup  bool        `json:"killasgroup,omitempty"`
	// LeaveChildren lets a run that EXITED as expected and is not restarted leave
	// background children behind.
	LeaveChildren bool `json:"leave_children,omitempty"`
	// TouchTimeout is the TTL of the touch in whole seconds, at least 2.
	TouchTimeout int `json:"touch_timeout"`
	// OnPartition as the user wrote it; "" lets the leader resolve it (design.md 5).
	OnPartition OnPartition `json:"on_partition,omitempty"`
	// OnStoreOutage as the user wrote it; "" is OutageHold.
	OnStoreOutage OnStoreOutage `json:"on_store_outage,omitempty"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Log says where one output channel goes.
type Log struct {
	// File is a template of a path, or LogAuto or LogNone.
	File     string `json:"file"`
	MaxBytes int64  `json:"maxbytes"` // 0 never rotates
	Backups  int    `json:"backups"`
	// Syslog sends each line to syslog, too, whatever File is.
	Syslog bool `json:"syslog,omitempty"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

const (
	LogAuto = "AUTO" // a file in the machine's state directory, removed with the program
	LogNone = "NONE" // no file
)

// Autorestart is supervisor's autorestart: "true", "false" or "unexpected".
type Autorestart string

// What is done when a process that was RUNNING has exited.
const (
	RestartAlways     Autorestart = "true"
	RestartNever      Autorestart = "false"
	RestartUnexpected Autorestart = "unexpected" // unless it exits with one of exitcodes
)

// OnPartition says what a process does when its machine loses etcd.
type OnPartition string

const (
	PartitionUnset OnPartition = ""     // nobody wrote one: keep while one machine matches, stop from two on
	PartitionStop  OnPartition = "stop" // it ends before its lease does
	PartitionKeep  OnPartition = "keep" // it goes on
)

// OnStoreOutage says what a process under PartitionStop does while etcd does not answer, but every controller does.
type OnStoreOutage string

const (
	OutageUnset OnStoreOutage = ""     // hold
	OutageHold  OnStoreOutage = "hold" // it goes on as long as every controller has promised to leave it alone
	OutageStop  OnStoreOutage = "stop" // it ends before its lease does
)

// Process is one copy that a program asks for. Its whole spec travels in the placement,
// so that an agent reads nothing of programs/.
type Process struct {
	Group   string `json:"group"`
	Name    string `json:"name"` // without the group
	Program string `json:"program"`
	// GroupPriority orders whole groups on one machine.
	GroupPriority int `json:"group_priority"`
	Settings
}

// ID is the name of the process everywhere: "group:name", or just "name" where both are equal.
func (p Process) ID() string { return ProcessID(p.Group, p.Name) }

// ProcessID joins a group and a process name as supervisor's status shows them.
func ProcessID(group, name string) string {
	if group == name {
		return name
	}
	return group + ":" + name
}

// ProcessName is the name of a process within its group.
func ProcessName(id string) string {
	if _, name, grouped := strings.Cut(id, ":"); grouped {
		return name
	}
	return id
}

// LoadRecord is the value of loads/<source>: a load that was begun in several transactions and is not complete. The
// next load of the source completes it and deletes the record.
type LoadRecord struct {
	By      string    `json:"by"` // user@host
	At      time.Time `json:"at"`
	Added   int       `json:"added"`
	Changed int       `json:"changed"`
	Removed int       `json:"removed"`
}
