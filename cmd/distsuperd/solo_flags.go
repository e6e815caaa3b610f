package main

import (
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/agentd/solo"
	"github.com/distsuper/distsuper/cmd/internal/getopt"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

const fileFlag = "configuration"

// soloFlags are those of supervisord.
func soloFlags() []getopt.Flag {
	flags := []getopt.Flag{{Short: "h", Long: "help"}, {Short: "?"}, {Short: "c", Long: fileFlag, HasValue: true}, {Short: "v", Long: "version"}}
	for _, k := range spec.SupervisordKeys() {
		if !k.FileOnly {
			flags = append(flags, getopt.Flag{Short: k.Flag, Long: k.Name, HasValue: !k.Switch})
		}
	}
	return flags
}

// soloLine is the command line of a solo.
type soloLine struct {
	help, version bool
	file          string         // "" is to be searched for
	settings      []getopt.Given // all other flags
}

// parseSolo reads the flags and checks their values one by one, as supervisord does.
func parseSolo(args []string) (line soloLine, err error) {
	given, rest, err := getopt.Parse(args, soloFlags())
	if err != nil {
		return line, daemon.Usage(err)
	}
	if len(rest) > 0 {
		quoted := make([]string, len(rest))
		for i, r := range rest {
			quoted[i] = supervisor.Quote(r)
		}
		return line, usagef("positional arguments are not supported: [%s]", strings.Join(quoted, ", "))
	}
	for _, g := range given {
		switch {
		case g.Long == "help" || g.Short == "?":
			return soloLine{help: true}, nil
		case g.Long == "version":
			return soloLine{version: true}, nil
		case g.Long == fileFlag:
			if line.file != "" {
				return line, conflicting(g)
			}
			line.file = g.Value
		default:
			if err := line.add(g); err != nil {
				return line, err
			}
		}
	}
	return line, nil
}

func (line *soloLine) add(g getopt.Given) error {
	if err := setting(g).Check(); err != nil {
		return err
	}
	for _, before := range line.settings {
		if before.Long == g.Long {
			return conflicting(g)
		}
	}
	line.settings = append(line.settings, g)
	return nil
}

func conflicting(g getopt.Given) error {
	return usagef("conflicting command line option %s", supervisor.Quote(g.Spelled))
}

func usagef(format string, args ...any) error { return daemon.Usage(fmt.Errorf(format, args...)) }

func setting(g getopt.Given) solo.Flag {
	value := g.Value
	if !g.HasValue {
		value = "true"
	}
	return solo.Flag{Key: g.Long, Spelled: g.Spelled, Value: value}
}

func (line *soloLine) flags() []solo.Flag {
	flags := make([]solo.Flag, len(line.settings))
	for i, g := range line.settings {
		flags[i] = setting(g)
	}
	return flags
}

// again is the command line with the absolute name of the file, for the next daemon.
func (line *soloLine) again(file string) []string {
	args := []string{"-c", file}
	for _, g := range line.settings {
		switch {
		case !g.HasValue:
			args = append(args, g.Spelled)
		case strings.HasPrefix(g.Spelled, "--"):
			args = append(args, g.Spelled+"="+g.Value)
		default:
			args = append(args, g.Spelled, g.Value)
		}
	}
	return args
}

// soloHelp is supervisord's, from the table of flags.
func soloHelp() string {
	var b strings.Builder
	b.WriteString("distsuperd solo -- run a set of applications as daemons, on this machine alone.\n\nUsage: " + solo.Program + " [options]\n\nOptions:\n")
	row := func(flags, text string) { fmt.Fprintf(&b, "%-34s %s\n", flags, text) }
	row("-c/--configuration FILENAME", "configuration file path (searches if not given)")
	row("-h/--help", "print this usage message and exit")
	row("-v/--version", "print version number and exit")
	for _, k := range spec.SupervisordKeys() {
		if k.FileOnly {
			continue
		}
		flags := "--" + k.Name
		if k.Flag != "" {
			flags = "-" + k.Flag + "/" + flags
		}
		if !k.Switch {
			flags += " VALUE"
		}
		text := k.Doc + " Also " + k.Name + " in [supervisord]"
		if k.Default != "" && !k.Switch {
			text += "; default " + k.Default
		}
		row(flags, text+".")
	}
	b.WriteString("\nSignals: TERM, INT and QUIT shut down; HUP stops everything, reads the file again and starts everything; USR2 reopens\n" +
		"all logs. The exit code is 0 after a shutdown, 2 for wrong usage, and 1 if exit_on in [supervisord] ended it.\n")
	return b.String()
}
