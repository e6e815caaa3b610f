package config

import (
	"fmt"
	"strings"
)

// intro, sectionHelp and programs are the prose of the template. A line that begins with "; " is
// prose; one that begins with ";" and a key is a setting with its default, to be uncommented.
const intro = `; distsuper.ini - read by distsuperd, distsuperagent and distsuperctl.
;
; They read the file named by -c FILE or DISTSUPER_CONFIG, else ./distsuper.ini, else /etc/distsuper.ini.
; The grammar is supervisor's: a comment is a line that begins with ; or #, or whatever follows
; white space and one of them; a value continues on indented lines; write a percent sign as %%.
; Every setting that is commented out shows its default. Each can also be set with the flag and
; the environment variable named beside it.
`

var sectionHelp = map[string]string{
	"etcd":           "Where the state of the fleet is kept. If no endpoints are set, distsuperd runs an etcd of its own on this host.",
	"embedded-etcd":  "The etcd that distsuperd runs if [etcd] names none.",
	"distsuperd":     "The controller: places processes on machines, and moves them when a machine dies.",
	"distsuperagent": "The agent: runs the processes of this machine.",
	"distsuperctl":   "The command line.",
}

const programs = `
; Programs. All of supervisor's keys mean what they mean there. Write what you want to run,
; then: distsuperctl load && distsuperctl start test

[program:test]
command = /bin/sh -c "while :; do date; sleep 5; done"
autostart = false
; where it may run: names, addresses or labels (zone=a) of machines; empty means any machine
;machines =
; seconds after which it may run elsewhere when its machine has fallen silent
;touch_timeout = 5
; how many machines are tried when it does not stay up
;max_fail_count = 3

; A program in a Python virtualenv: with its bin directory first in PATH the command is found
; there, and so is everything that the command runs.
;[program:worker]
;command = python -m worker --queue payments
;directory = /srv/worker
;environment = PATH="/srv/worker/venv/bin:%(ENV_PATH)s",PYTHONUNBUFFERED="1"
;user = worker
;numprocs = 2
;process_name = %(program_name)s_%(process_num)d
;machines = zone=a

; More files; names are relative to this one.
;[include]
;files = conf.d/*.ini
`

// Template is a commented distsuper.ini that says what every setting means and is by default, with
// a program to try.
func Template() string {
	var b strings.Builder
	b.WriteString(intro)
	for _, section := range sections() {
		fmt.Fprintf(&b, "\n%s[%s]\n", prose(sectionHelp[section]), section)
		for _, s := range Settings {
			if s.Section == section {
				b.WriteString(prose(s.Help + " (" + s.otherForms() + ")"))
				b.WriteString(strings.TrimRight(";"+s.Key+" = "+s.Default, " ") + "\n")
			}
		}
	}
	b.WriteString(programs)
	return b.String()
}

// otherForms are its flag and environment variable, and its default where that is not a fixed text.
func (s Setting) otherForms() string {
	forms := s.Env
	if s.Flag != "" {
		forms = "--" + s.Flag + ", " + forms
	}
	if s.Shown != "" {
		forms = "default: " + s.Shown + "; " + forms
	}
	return forms
}

// prose breaks a sentence into comment lines of some 95 characters.
func prose(text string) string {
	var b strings.Builder
	line := ";"
	for _, word := range strings.Fields(text) {
		if len(line)+len(word) > 95 {
			b.WriteString(line + "\n")
			line = ";"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}
