package ini

import (
	"fmt"
	"strings"
)

// Autorestart says when a program that has exited is started again.
type Autorestart int

// The policies of restarting.
const (
	RestartUnexpected Autorestart = iota // after an exit code that is not among exitcodes
	RestartAlways
	RestartNever
)

// String returns the word that ParseAutorestart reads.
func (a Autorestart) String() string {
	switch a {
	case RestartUnexpected:
		return "unexpected"
	case RestartAlways:
		return "true"
	case RestartNever:
		return "false"
	}
	return fmt.Sprintf("Autorestart(%d)", int(a))
}

// ParseAutorestart reads unexpected, or a boolean as ParseBool does.
func ParseAutorestart(s string) (Autorestart, error) {
	always, ok := truth(s)
	switch {
	case strings.EqualFold(s, "unexpected"):
		return RestartUnexpected, nil
	case ok && always:
		return RestartAlways, nil
	case ok:
		return RestartNever, nil
	}
	return 0, fmt.Errorf("not a restart policy: %q; write true, false or unexpected", s)
}

// Level is the weight of a log message; its number is supervisor's.
type Level int

// The log levels.
const (
	LevelBlather  Level = 3
	LevelTrace    Level = 5
	LevelDebug    Level = 10
	LevelInfo     Level = 20
	LevelWarn     Level = 30
	LevelError    Level = 40
	LevelCritical Level = 50
)

var levels = []struct {
	level      Level
	name, code string
}{
	{LevelCritical, "critical", "CRIT"},
	{LevelError, "error", "ERRO"},
	{LevelWarn, "warn", "WARN"},
	{LevelInfo, "info", "INFO"},
	{LevelDebug, "debug", "DEBG"},
	{LevelTrace, "trace", "TRAC"},
	{LevelBlather, "blather", "BLAT"},
}

// String returns the name that ParseLevel reads.
func (l Level) String() string {
	for _, known := range levels {
		if known.level == l {
			return known.name
		}
	}
	return fmt.Sprintf("Level(%d)", int(l))
}

// Code returns the four letters that stand for the level in supervisor's logs.
func (l Level) Code() string {
	for _, known := range levels {
		if known.level == l {
			return known.code
		}
	}
	return "????"
}

// ParseLevel reads the name of a log level in any case.
func ParseLevel(s string) (Level, error) {
	var names []string
	for _, known := range levels {
		if strings.EqualFold(s, known.name) {
			return known.level, nil
		}
		names = append(names, known.name)
	}
	return 0, fmt.Errorf("not a log level: %q; write one of %s", s, strings.Join(names, ", "))
}
