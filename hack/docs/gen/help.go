package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// programs are those that are asked for their help.
var programs = []string{"distsuperctl", "distsuperd", "distsuperagent"}

// help is what a command says with --help.
func (p *printer) help(program string, command ...string) (string, error) {
	cmd := exec.CommandContext(p.ctx, filepath.Join(p.bin, program), append(command, "--help")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s --help: %w\n%s", program, strings.Join(command, " "), err, out)
	}
	return string(out), nil
}

// section is the part of a help text under a heading, up to an empty line.
func section(help, heading string) string {
	_, text, _ := strings.Cut(help, "\n"+heading+":\n")
	text, _, _ = strings.Cut(text, "\n\n")
	return strings.Trim(text, "\n")
}

var listed = regexp.MustCompile(`(?m)^  (\S+) +(.+)$`)

// subcommands are those that a help text lists, each with its sentence. The help of the flag library about itself is
// left out.
func subcommands(help string) [][2]string {
	var out [][2]string
	for _, m := range listed.FindAllStringSubmatch(section(help, "Available Commands"), -1) {
		if m[2] != "Help about any command" {
			out = append(out, [2]string{m[1], m[2]})
		}
	}
	return out
}

// usage is the line of a help text that says how to write the command, without the program's name.
func usage(help, program string) string {
	line, _, _ := strings.Cut(section(help, "Usage"), "\n")
	line = strings.TrimPrefix(strings.TrimSpace(line), program+" ")
	return strings.TrimSuffix(line, " [flags]")
}

func (p *printer) commands(program string) (string, error) {
	rows, err := p.below(program, nil)
	if err != nil {
		return "", err
	}
	return table([]string{"command", "what it does"}, rows), nil
}

// below are rows for all commands below one.
func (p *printer) below(program string, parent []string) ([][]string, error) {
	help, err := p.help(program, parent...)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, sub := range subcommands(help) {
		path := append(append([]string(nil), parent...), sub[0])
		own, err := p.help(program, path...)
		if err != nil {
			return nil, err
		}
		line := usage(own, program)
		if line == "" { // solo, whose help is as supervisord's
			line = strings.Join(path, " ") + " [options]"
		}
		rows = append(rows, []string{code(line), sub[1]})
		more, err := p.below(program, path)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

var exitCode = regexp.MustCompile(`^  (\d)  (.*)$`)

// exitCodes is the table of programs that have the same one.
func (p *printer) exitCodes(programs ...string) (string, error) {
	var help string
	for i, program := range programs {
		text, err := p.help(program)
		if err != nil {
			return "", err
		}
		if i > 0 && section(text, "Exit codes") != section(help, "Exit codes") {
			return "", fmt.Errorf("%s and %s have different exit codes", programs[0], program)
		}
		help = text
	}
	var rows [][]string
	for _, line := range strings.Split(section(help, "Exit codes"), "\n") {
		if m := exitCode.FindStringSubmatch(line); m != nil {
			rows = append(rows, []string{m[1], m[2]})
		} else if len(rows) > 0 {
			rows[len(rows)-1][1] += " " + strings.TrimSpace(line)
		}
	}
	return table([]string{"code", "meaning"}, rows), nil
}
