package ini

import (
	"fmt"
	"strings"
)

// A Signal is one of Linux, where programs run, whatever system this is built
// for. The numbers are those of x86 and ARM.
type Signal struct {
	Name   string // without SIG
	Number int
}

// signals has the canonical name of a number before its other names.
var signals = []Signal{
	{"HUP", 1}, {"INT", 2}, {"QUIT", 3}, {"ILL", 4}, {"TRAP", 5}, {"ABRT", 6}, {"IOT", 6}, {"BUS", 7},
	{"FPE", 8}, {"KILL", 9}, {"USR1", 10}, {"SEGV", 11}, {"USR2", 12}, {"PIPE", 13}, {"ALRM", 14}, {"TERM", 15},
	{"STKFLT", 16}, {"CHLD", 17}, {"CLD", 17}, {"CONT", 18}, {"STOP", 19}, {"TSTP", 20}, {"TTIN", 21}, {"TTOU", 22},
	{"URG", 23}, {"XCPU", 24}, {"XFSZ", 25}, {"VTALRM", 26}, {"PROF", 27}, {"WINCH", 28}, {"IO", 29}, {"POLL", 29},
	{"PWR", 30}, {"SYS", 31}, {"RTMIN", 34}, {"RTMAX", 64},
}

// ParseSignal reads a name in any case, with or without SIG, or a number. It
// returns the canonical name: CHLD for SIGCLD and for 17.
func ParseSignal(s string) (Signal, error) {
	number, err := ParseInt(s)
	if err != nil {
		number = 0
		name := strings.TrimPrefix(strings.ToUpper(trim(s)), "SIG")
		for _, signal := range signals {
			if signal.Name == name {
				number = signal.Number
			}
		}
	}
	for _, signal := range signals {
		if signal.Number == number {
			return signal, nil
		}
	}
	return Signal{}, fmt.Errorf("not a signal: %q; write a name such as TERM, HUP, INT, QUIT, KILL, USR1 or USR2, or its number", s)
}
