package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/chaos"
	"github.com/distsuper/distsuper/test/parity"
)

// A printer prints the parts.
type printer struct {
	ctx context.Context
	bin string // folder of the binaries, which are asked for their help
}

// parts are all parts by the names in their markers.
func (p *printer) parts() map[string]func() (string, error) {
	all := map[string]func() (string, error){
		"keys of distsuper":       keys(func(k spec.Key) bool { return k.Ours }),
		"keys of supervisor":      keys(func(k spec.Key) bool { return !k.Ours && !k.NoEffect }),
		"keys without effect":     keys(func(k spec.Key) bool { return k.NoEffect }),
		"solo's own keys":         supervisordKeys(true),
		"keys of [supervisord]":   supervisordKeys(false),
		"settings":                settings,
		"environment variables":   environment,
		"keys in etcd":            etcdKeys,
		"kinds of faults":         faults,
		"packages of the product": p.packages("cmd", "controller", "agentd", "store", "pkg"),
		"packages around it":      p.packages("test", "hack"),
	}
	for _, area := range []string{parity.AreaConfiguration, parity.AreaProcesses, parity.AreaCommands} {
		all["differences in "+area] = differences(area)
	}
	for _, program := range programs {
		all["commands of "+program] = func() (string, error) { return p.commands(program) }
	}
	all["exit codes of distsuperctl"] = func() (string, error) { return p.exitCodes("distsuperctl") }
	all["exit codes of the daemons"] = func() (string, error) { return p.exitCodes("distsuperd", "distsuperagent") }
	return all
}

// table is one in Markdown.
func table(header []string, rows [][]string) string {
	var b strings.Builder
	row := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(header)
	row(slices.Repeat([]string{"---"}, len(header)))
	for _, cells := range rows {
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		row(cells)
	}
	return b.String()
}

func faults() (string, error) {
	var rows [][]string
	for _, k := range chaos.Kinds() {
		rows = append(rows, []string{code(k[0]), k[1]})
	}
	return table([]string{"fault", "what happens"}, rows), nil
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func keys(which func(spec.Key) bool) func() (string, error) {
	return func() (string, error) {
		var rows [][]string
		for _, k := range spec.Keys() {
			if !which(k) {
				continue
			}
			meaning := k.Doc
			for _, a := range k.Aliases {
				meaning += " Also spelt " + code(a) + "."
			}
			rows = append(rows, []string{code(k.Name), code(k.Default), k.Form, meaning})
		}
		return table([]string{"key", "default", "accepts", "meaning"}, rows), nil
	}
}

func supervisordKeys(ours bool) func() (string, error) {
	return func() (string, error) {
		var rows [][]string
		for _, k := range spec.SupervisordKeys() {
			if k.Ours != ours {
				continue
			}
			meaning := k.Doc
			if k.NoEffect {
				meaning += " Has no effect."
			}
			row := []string{code(k.Name), code(k.Default), k.Form, meaning}
			if !ours {
				flags := "--" + k.Name
				if k.Flag != "" {
					flags = "-" + k.Flag + ", " + flags
				}
				row = []string{row[0], row[1], code(flags), row[2], row[3]}
			}
			rows = append(rows, row)
		}
		header := []string{"key", "default", "accepts", "meaning"}
		if !ours {
			header = []string{"key", "default", "flag", "accepts", "meaning"}
		}
		return table(header, rows), nil
	}
}

func settings() (string, error) {
	var b strings.Builder
	section := ""
	var rows [][]string
	flush := func() {
		if section != "" {
			fmt.Fprintf(&b, "## [%s]\n\n%s\n", section, table([]string{"key", "default", "flag", "meaning"}, rows))
		}
		rows = nil
	}
	for _, s := range config.Settings {
		if s.Section != section {
			flush()
			section = s.Section
		}
		flag := ""
		if s.Flag != "" {
			flag = "--" + s.Flag
		}
		def := cmp.Or(s.Shown, code(s.Default))
		help := s.Help
		if s.Live {
			help += "; a running daemon takes it on HUP"
		}
		rows = append(rows, []string{code(s.Key), def, code(flag), help})
	}
	flush()
	return b.String(), nil
}

func environment() (string, error) {
	rows := [][]string{{code(config.EnvFile), "the configuration file, as `-c`"}}
	at := map[string]int{}
	for _, s := range config.Settings {
		if i, seen := at[s.Env]; seen { // one variable, several settings
			rows[i][1] += ", " + code(s.Name())
			continue
		}
		at[s.Env] = len(rows)
		rows = append(rows, []string{code(s.Env), code(s.Name())})
	}
	return table([]string{"variable", "sets"}, rows), nil
}

func etcdKeys() (string, error) {
	var rows [][]string
	for _, d := range store.Layout {
		leased := ""
		if d.Leased {
			leased = "yes"
		}
		rows = append(rows, []string{code(d.Path), d.Writer, leased, d.Content})
	}
	return table([]string{"key", "written by", "leased", "holds"}, rows), nil
}

func differences(area string) func() (string, error) {
	return func() (string, error) {
		var rows [][]string
		for _, d := range parity.Differences {
			if d.Area == area {
				rows = append(rows, []string{d.What, d.Supervisor, d.Distsuper, d.Why})
			}
		}
		return table([]string{"what", "supervisor", "distsuper", "why"}, rows), nil
	}
}
